"""The suite against itself: mutants it must catch, honest evaluations it must accept, made-up questions."""
