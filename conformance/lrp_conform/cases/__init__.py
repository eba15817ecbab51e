"""Whole networks: cases of several nodes, the reference's exact answer to them, verdicts with the first diverging node."""
