"""Stage 5: every property of every expanded resource exists, has the right type, and may be written.

Open enumerations are treated as closed: a value outside the listed ones is more often a mistake than news.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.checks import expansion
from infra.checks.findings import Finding, place
from infra.checks.make_schema import READ_ONLY, REQUIRED
from infra.checks.published_types import schema
from infra.checks.syntax import templates

BICEP_ONLY = {"parent", "scope", "dependsOn"}

# Reasons for what the schema would refuse.
READ_ONLY_BUT_WRITTEN = {
    (
        "Microsoft.Web/sites",
        "properties.state",
    ): "accepted on create and update; the postdeploy hook asserts the result",
}
VALUES_BEYOND_THE_LIST: dict[tuple[str, str], set[str]] = {}

# Together these reach every resource of every template.
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"activeRegion": "secondary", "storageSku": "Standard_LRS", "deploySecondaryEndpoints": False},
    {"clientAuth": "entra", "entraClientId": "client", "deployJournal": False, "pinEndpointAddresses": True},
    {
        "deployFrontDoor": True,
        "alertEmail": "a@b.example",
        "deployerAddresses": ["192.0.2.0/24"],
        "fencedRegion": "primary",
    },
    {"allowInternetEgress": False, "logStorageOperations": True, "workflowSettings": {"A": "b"}},
)


class _Inspector:
    """Compares one resource with its schema."""

    def __init__(self, resource: expansion.Resource) -> None:
        self._type = resource.type
        self._schema = schema(resource.type)
        self._body = {key: value for key, value in resource.body.items() if key not in BICEP_ONLY}

    def findings(self) -> Iterator[tuple[str, str]]:
        if self._schema:
            yield from self._value(self._schema["root"], self._body, "")

    def _value(self, kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, str) and value.startswith("<") or value is None:
            return
        if isinstance(kind, str):
            yield from self._simple(kind, value, path)
        elif "enum" in kind:
            allowed = set(kind["enum"]) | VALUES_BEYOND_THE_LIST.get((self._type, path), set())
            if value not in allowed:
                yield "bad-value", f"{path} is {value!r}; the schema lists {', '.join(sorted(allowed))}"
        elif "array" in kind:
            yield from self._array(kind["array"], value, path)
        else:
            yield from self._object(self._schema["definitions"][kind["object"]], value, path)

    def _simple(self, kind: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
        types: dict[str, tuple[type, ...]] = {"string": (str,), "int": (int,), "bool": (bool,), "any": (object,)}
        if not isinstance(value, types[kind]) or (kind == "int" and isinstance(value, bool)):
            yield "bad-type", f"{path} should be {kind}, is {value!r}"

    def _array(self, kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(value, list):
            yield "bad-type", f"{path} should be an array, is {value!r}"
            return
        for item in value:
            yield from self._value(kind, item, path + "[]")

    def _object(self, definition: dict[str, Any], value: Any, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(value, dict):
            yield "bad-type", f"{path} should be an object, is {value!r}"
            return
        known = dict(definition["properties"])
        if "discriminator" in definition:
            chosen = value.get(definition["discriminator"])
            if chosen not in definition["elements"]:
                yield "bad-value", f"{path}.{definition['discriminator']} is {chosen!r}, which the schema does not list"
                return
            known.update(self._schema["definitions"][definition["elements"][chosen]]["properties"])
        yield from self._members(definition, known, value, path)

    def _members(
        self, definition: dict[str, Any], known: dict[str, Any], value: dict[str, Any], path: str
    ) -> Iterator[tuple[str, str]]:
        for name, (_, flags) in known.items():
            if flags & REQUIRED and name not in value:
                yield "missing-property", f"{path or self._type} requires {name}"
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            if name not in known:
                if "additional" in definition:
                    yield from self._value(definition["additional"], item, below)
                else:
                    yield "unknown-property", f"{self._type} has no property {below}"
            elif known[name][1] & READ_ONLY and (self._type, below) not in READ_ONLY_BUT_WRITTEN:
                yield "read-only-property", f"{below} cannot be written"
            else:
                yield from self._value(known[name][0], item, below)


def _never_expanded(root: Path, reached: set[tuple[Path, str]]) -> Iterator[Finding]:
    for template in templates(root):
        for declaration in template.of_kind("resource"):
            if not declaration.existing and (template.path.resolve(), declaration.name) not in reached:
                where = place(root, template.path, declaration.line)
                yield Finding("never-expanded", where, f"{declaration.name} appears in none of the checked variants")


def check(root: Path) -> Iterator[Finding]:
    """Every variant's resources against the schema; every resource declaration must appear in one of them."""
    found: set[Finding] = set()
    reached: set[tuple[Path, str]] = set()
    for variant in VARIANTS:
        try:
            resources = expansion.expand(root, **variant)
        except expansion.ExpansionError as error:
            found.add(Finding("expansion", "infra", str(error)))
            continue
        for resource in resources:
            reached.add((resource.path.resolve(), resource.symbol))
            where = place(root, resource.path, resource.line)
            found |= {Finding(check, where, message) for check, message in _Inspector(resource).findings()}
    yield from sorted(found)
    if not any(finding.check == "expansion" for finding in found):
        yield from _never_expanded(root, reached)
