"""Where every golden case comes from."""
