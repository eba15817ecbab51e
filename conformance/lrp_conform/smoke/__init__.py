"""Before judging: whether an adapter or a harness is sound at all."""
