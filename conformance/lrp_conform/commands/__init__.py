"""The commands of `lrp-conform`, one module for each kind of work."""
