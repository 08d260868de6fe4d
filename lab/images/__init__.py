"""Where container images come from, and how they reach a node."""
