"""What rules are written in: contributions as dense or structured maps, as connections, or on numbers that may be off."""
