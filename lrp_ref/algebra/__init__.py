"""What formulas are written in: contributions, also on numbers that may be off, and what formats round."""
