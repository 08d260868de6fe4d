"""Clusters that others made: what is true of them, and what of it a lab cannot live with."""
