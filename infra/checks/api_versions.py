"""Stage 4: every resource names one API version, the one that the vendored schema describes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.checks.findings import Finding, place
from infra.checks.make_schema import API_VERSIONS
from infra.checks.syntax import templates


def _wrong(literal: str) -> str:
    resource, _, version = literal.partition("@")
    if not version:
        return f"{literal} names no API version"
    if resource not in API_VERSIONS:
        return f"{resource} is not among the resource types of infra/checks/make_schema.py"
    if version != API_VERSIONS[resource]:
        return f"{resource} is used with {version}; the templates use {API_VERSIONS[resource]}"
    return ""


def check(root: Path) -> Iterator[Finding]:
    """Types without a version, unknown types, second versions of one type."""
    for template in templates(root):
        for declaration in template.of_kind("resource"):
            if message := _wrong(declaration.literal):
                yield Finding("api-version", place(root, template.path, declaration.line), message)
