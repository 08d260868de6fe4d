"""What makes clusters, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.providers.base import Provider
from lab.providers.existing import Existing
from lab.providers.kind import Kind
from lab.providers.multipass import Multipass

PROVIDERS: Mapping[str, Callable[..., Provider]] = {
    "kind": Kind,
    "multipass": Multipass,
    "existing": Existing,
}
"""Every provider that a topology may name."""
