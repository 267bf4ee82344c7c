"""The vendored schema: what Azure publishes about a resource type, for whoever asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from infra.checks.make_schema import SCHEMA_FOLDER


@lru_cache(maxsize=64)
def schema(resource: str) -> dict[str, Any]:
    """The schema of a resource type; empty when it is not among the vendored ones."""
    path = SCHEMA_FOLDER / (resource.replace("/", "_") + ".json")
    loaded: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return loaded


def readable(resource: str, path: Sequence[str]) -> bool:
    """Whether a deployed resource has such a property; unknown types and free-form objects have any."""
    loaded = schema(resource)
    kind: Any = loaded.get("root", "any")
    for name in path:
        definition = loaded["definitions"][kind["object"]] if isinstance(kind, dict) and "object" in kind else {}
        if not definition or "additional" in definition or "discriminator" in definition:
            return True
        if name not in definition["properties"]:
            return False
        kind = definition["properties"][name][0]
    return True
