"""Stage 3: module files exist and are used, their parameters and outputs are the ones that callers name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.checks.findings import Finding, place
from infra.checks.syntax import Declaration, Node, Template, parse, templates, text, walk


def object_of(declaration: Declaration) -> Node | None:
    """The body of a resource or module, whether it is conditional, in a loop, or plain."""
    node = declaration.value
    while node is not None and node.type in ("for_statement", "if_statement"):
        node = next((c for c in reversed(node.named_children) if c.type in ("object", "if_statement")), None)
    return node


def members(node: Node | None) -> dict[str, Node]:
    """Names and values of an object literal."""
    found = {}
    for member in node.named_children if node is not None else []:
        if member.type == "object_property":
            named = [child for child in member.named_children if child.type != "comment"]
            found[text(named[0]).strip("'")] = named[-1]
    return found


def arguments(declaration: Declaration) -> dict[str, Node]:
    """The `params` of a module declaration."""
    return members(members(object_of(declaration)).get("params"))


def _path(template: Template, declaration: Declaration) -> Path:
    return (template.path.parent / declaration.literal).resolve()


def _call(template: Template, declaration: Declaration) -> Iterator[tuple[str, int, str]]:
    path = _path(template, declaration)
    if not path.exists():
        yield "missing-module", declaration.line, f"module file {declaration.literal} does not exist"
        return
    params = {d.name: d for d in parse(path).of_kind("param")}
    given = arguments(declaration)
    for name, node in given.items():
        if name not in params:
            yield "unknown-parameter", node.start_point[0] + 1, f"{declaration.literal} has no parameter {name}"
    for name, param in params.items():
        if param.value is None and name not in given:
            yield "missing-parameter", declaration.line, f"{declaration.literal} requires {name}"


def _outputs(template: Template) -> Iterator[tuple[str, int, str]]:
    known = {
        d.name: {o.name for o in parse(_path(template, d)).of_kind("output")}
        for d in template.of_kind("module")
        if _path(template, d).exists()
    }
    for node in walk(template.root):
        parts = text(node).replace("!", "").split(".")
        if node.type == "member_expression" and len(parts) >= 3 and parts[0] in known and parts[1] == "outputs":
            name = parts[2].split("[")[0]
            if name not in known[parts[0]]:
                yield "unknown-output", node.start_point[0] + 1, f"module {parts[0]} has no output {name}"


def _unused_files(root: Path) -> Iterator[Finding]:
    everything = templates(root)
    called = {_path(template, d) for template in everything for d in template.of_kind("module")}
    for template in everything:
        if template.path.name != "main.bicep" and template.path.resolve() not in called:
            yield Finding("unused-module", place(root, template.path), "no template uses this file")


def check(root: Path) -> Iterator[Finding]:
    """Module calls, references to outputs, files that nobody calls."""
    for template in templates(root):
        calls = [found for declaration in template.of_kind("module") for found in _call(template, declaration)]
        for name, line, message in [*calls, *_outputs(template)]:
            yield Finding(name, place(root, template.path, line), message)
    yield from _unused_files(root)
