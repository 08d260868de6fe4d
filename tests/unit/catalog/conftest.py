from __future__ import annotations

from hypothesis import settings

# The same examples every time, none kept on disk, and no deadline: CI machines stall.
settings.register_profile("lab", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("lab")
