"""Experiments: a fault, everything sampled before, while and after, and a verdict for each contract."""
