"""What makes clusters, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.providers.base import Provider
from lab.providers.existing import Existing
from lab.providers.kind import Kind

PROVIDERS: Mapping[str, Callable[..., Provider]] = {"kind": Kind, "existing": Existing}
"""Every provider that this version can start; a topology may name others, and is then told so."""
