"""What an adapter and the suite agree on."""

from __future__ import annotations


class Unsupported(Exception):
    """Raised by an adapter for a case its library cannot express; the message says why."""
