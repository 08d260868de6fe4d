"""Measurements: what a user waits for, side by side with what they would do by hand."""
