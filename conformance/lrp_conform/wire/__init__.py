"""How a process is asked: the wire protocol, its harness, and the server for Python adapters."""
