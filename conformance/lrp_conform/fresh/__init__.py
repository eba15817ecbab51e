"""Questions made on the spot: drawn so that pairs of values meet, and answered by the reference."""
