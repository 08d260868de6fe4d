"""Addons on real clusters: what is installed, how it gets there, and whether it works."""
