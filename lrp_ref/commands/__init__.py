"""The commands of `lrp-ref`, one module for each kind of work; each loads what it works with when it is called."""
