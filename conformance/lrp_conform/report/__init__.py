"""What a run looks like: on a terminal, in a CI system, and in a browser."""
