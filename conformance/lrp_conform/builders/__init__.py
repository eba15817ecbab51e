"""A case's nodes as a torch or a Keras model, for adapters: needs NumPy and that library, and nothing else."""


class Unsupported(Exception):
    """Raised by an adapter for a case its library cannot express; the message says why."""
