"""The commands of `lrp-ref`, one module for each kind of work; `add_to` adds its parsers, whose `run` returns the status."""
