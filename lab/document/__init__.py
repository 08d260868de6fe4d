"""Files that people write: read by their shapes, every value with its place, all problems at once."""
