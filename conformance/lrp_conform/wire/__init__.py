"""How a process is asked: the messages, the judge's end of the wire, and the server for Python adapters at the other."""
