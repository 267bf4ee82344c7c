"""Stage 2: every name that is used is declared, every declaration is used, none is declared twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from infra.checks.findings import Finding, place
from infra.checks.syntax import Declaration, Node, Template, templates, text, walk

PRIMITIVE_TYPES = {"string", "int", "bool", "object", "array"}
FUNCTIONS = {
    "contains", "deployment", "empty", "environment", "first", "guid", "int", "items", "join", "last", "length",
    "replace", "resourceGroup", "resourceId", "split", "string", "subscription", "subscriptionResourceId", "take",
    "tenant", "toLower", "union", "uniqueString",
}  # fmt: skip


def _is_name_of_property(node: Node) -> bool:
    parent = node.parent
    return parent is not None and parent.type == "object_property" and parent.children[0] == node


def uses(node: Node) -> Iterator[Node]:
    """Identifiers below a node that stand for a symbol or a function."""
    for child in walk(node):
        if child.type == "identifier" and not _is_name_of_property(child):
            yield child


def loop_names(node: Node) -> set[str]:
    """Loop variables and indexes declared anywhere below a node."""
    kinds = {"loop_variable", "loop_enumerator"}
    found = {text(child) for child in walk(node) if child.type in kinds}
    for child in walk(node):
        if child.type == "for_statement":
            found |= {text(c) for c in child.children[2:3] if c.type in ("identifier", *kinds)}
    return found


def _value_uses(declaration: Declaration) -> Iterator[Node]:
    if declaration.value is not None:
        yield from uses(declaration.value)


def _is_function(node: Node) -> bool:
    return node.parent is not None and node.parent.type == "call_expression" and node.parent.children[0] == node


def _undeclared(template: Template) -> Iterator[tuple[int, str]]:
    declared = {d.name for d in template.declarations if d.kind != "output"}
    for declaration in template.declarations:
        known = declared | loop_names(declaration.node)
        for node in _value_uses(declaration):
            allowed = FUNCTIONS if _is_function(node) else known
            if text(node) not in allowed:
                yield node.start_point[0] + 1, f"{text(node)!r} is declared nowhere"


def _unused(template: Template) -> Iterator[tuple[int, str]]:
    used = {text(node) for declaration in template.declarations for node in _value_uses(declaration)}
    for declaration in template.of_kind("param", "var"):
        if declaration.name not in used:
            yield declaration.line, f"{declaration.kind} {declaration.name} is never used"


def _twice(template: Template) -> Iterator[tuple[int, str]]:
    names = Counter((d.kind == "output", d.name) for d in template.declarations)
    for (_, name), count in names.items():
        if count > 1:
            yield 1, f"{name} is declared {count} times"


def _types(template: Template) -> Iterator[tuple[int, str]]:
    for declaration in template.of_kind("param", "output"):
        if declaration.type_name not in PRIMITIVE_TYPES:
            yield declaration.line, f"{declaration.name} has the unknown type {declaration.type_name!r}"


def _descriptions(template: Template) -> Iterator[tuple[int, str]]:
    for declaration in template.of_kind("param", "output"):
        description = declaration.decorator("description")
        words = text(description).lstrip("('") if description else ""
        begins = ("Required.", "Optional.", "Conditional.") if declaration.kind == "param" else ("",)
        if not words or not words.startswith(begins):
            yield declaration.line, f"{declaration.name} needs a description that begins with Required. or Optional."


RULES = {
    "undeclared-symbol": _undeclared,
    "unused-symbol": _unused,
    "duplicate-symbol": _twice,
    "unknown-type": _types,
    "missing-description": _descriptions,
}


def check(root: Path) -> Iterator[Finding]:
    """Runs every rule over every file."""
    for template in templates(root):
        for name, rule in RULES.items():
            for line, message in rule(template):
                yield Finding(name, place(root, template.path, line), message)
