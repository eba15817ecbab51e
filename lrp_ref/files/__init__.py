"""Images and arrays on disk: read as a network takes them, written whole or not at all."""
