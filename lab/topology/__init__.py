"""What the user wants: a topology file becomes a checked, fully addressed ``Topology``."""
