"""From verdicts to causes: dialect cards, shrunk counterexamples, laws that need no goldens, and hidden precision."""
