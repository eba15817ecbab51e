"""Questions made on the spot: drawn so that every pair of values is asked, and answered by the reference."""
