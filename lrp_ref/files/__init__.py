"""Images and arrays on disk."""
