"""Stage 1: every Bicep file parses, and objects and arrays have something between their members."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

from infra.checks.findings import Finding, place

Node = tree_sitter.Node
_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))

KINDS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}


def text(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def plain_string(node: Node) -> str:
    """The content of a string without interpolation."""
    return "".join(text(child) for child in node.named_children).replace("\\'", "'")


@dataclass(frozen=True)
class Declaration:
    """One `param`, `var`, `resource`, `module` or `output`."""

    kind: str
    name: str
    node: Node
    decorators: tuple[Node, ...]

    @property
    def line(self) -> int:
        return self.node.start_point[0] + 1

    @property
    def value(self) -> Node | None:
        """What stands after the equals sign."""
        for index, child in enumerate(self.node.children):
            if child.type == "=":
                return next(c for c in self.node.children[index + 1 :] if c.type != "comment")
        return None

    @property
    def literal(self) -> str:
        """The resource type with its version, or the module's path."""
        return plain_string(next(child for child in self.node.children if child.type == "string"))

    @property
    def existing(self) -> bool:
        return any(child.type == "existing" for child in self.node.children)

    @property
    def type_name(self) -> str:
        types = [text(child) for child in self.node.children if child.type in ("type", "identifier")]
        return types[1] if len(types) > 1 else ""

    def decorator(self, name: str) -> Node | None:
        """The arguments of a decorator, if it is there."""
        for decorator in self.decorators:
            call = decorator.named_children[0]
            if text(call.named_children[0]) == name:
                return call.named_children[1]
        return None


@dataclass(frozen=True)
class Template:
    """One Bicep file, parsed."""

    path: Path
    root: Node
    declarations: tuple[Declaration, ...]

    def of_kind(self, *kinds: str) -> list[Declaration]:
        return [declaration for declaration in self.declarations if declaration.kind in kinds]

    def find(self, name: str) -> Declaration | None:
        """The declaration of a symbol; outputs live in a name space of their own."""
        return next((d for d in self.declarations if d.name == name and d.kind != "output"), None)


def _declarations(root: Node) -> Iterator[Declaration]:
    decorators: tuple[Node, ...] = ()
    for child in root.children:
        if child.type == "decorators":
            decorators = tuple(child.named_children)
        elif child.type in KINDS:
            name = text(next(c for c in child.children if c.type == "identifier"))
            yield Declaration(KINDS[child.type], name, child, decorators)
            decorators = ()


@lru_cache(maxsize=256)
def _parse(path: Path, source: bytes) -> Template:
    root = _PARSER.parse(source).root_node
    return Template(path, root, () if root.has_error else tuple(_declarations(root)))


def parse(path: Path) -> Template:
    """Parses one file; with a syntax error it has no declarations."""
    return _parse(path, path.read_bytes())


def templates(root: Path) -> list[Template]:
    """Every Bicep file of the tree, main.bicep first."""
    return [parse(path) for path in sorted((root / "infra").rglob("*.bicep"), key=lambda p: (len(p.parts), p))]


def _glued(node: Node, source: bytes) -> Iterator[Node]:
    members = [child for child in node.named_children if child.type != "comment"]
    for left, right in zip(members, members[1:], strict=False):
        # The grammar splits a call inside an array in two; those neighbours say nothing.
        if node.type == "array" and {left.type, right.type} & {"member_expression", "parenthesized_expression"}:
            continue
        between = source[left.end_byte : right.start_byte]
        if b"," not in between and b"\n" not in between:
            yield right


def check(root: Path) -> Iterator[Finding]:
    """Errors and missing nodes, and members without a comma or a new line between them."""
    for template in templates(root):
        for node in walk(template.root):
            where = place(root, template.path, node.start_point[0] + 1)
            if node.is_missing or node.type == "ERROR":
                yield Finding("syntax", where, f"does not parse near {text(node)[:40]!r}")
            elif node.type in ("object", "array"):
                for member in _glued(node, template.root.text or b""):
                    yield Finding("syntax", where, f"a comma or a new line is missing before {text(member)[:40]!r}")
