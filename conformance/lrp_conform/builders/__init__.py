"""What an adapter may import in any environment: nothing here needs more than NumPy and the library that a builder is for."""


class Unsupported(Exception):
    """Raised by an adapter for a case its library cannot express; the message says why."""
