"""Evaluates the templates as a deployment would: parameters in, concrete resources out.

What only Azure knows (a principal id, a host name) becomes a text in angle brackets. Functions that depend on the
subscription return fixed values of the right length.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.checks.modules import arguments, members, object_of
from infra.checks.published_types import readable
from infra.checks.syntax import Declaration, Node, Template, parse, plain_string, text

Value = Any
Postfix = Callable[[Any], Any]


class ExpansionError(Exception):
    """The template cannot be evaluated: says the file, the line and the reason."""


@dataclass(frozen=True)
class Resource:
    """One resource of the deployment."""

    type: str
    version: str
    name: str
    group: str
    body: dict[str, Value]
    symbol: str
    path: Path
    line: int

    @property
    def id(self) -> str:
        return resource_id(self.group, self.type, self.name)


@dataclass(frozen=True)
class Reference:
    """What a resource symbol stands for inside an expression."""

    type: str
    name: str
    group: str

    def member(self, name: str) -> Value:
        if name == "id":
            return resource_id(self.group, self.type, self.name)
        return self.name if name == "name" else Runtime(self.type, self.name).member(name)


@dataclass(frozen=True)
class Runtime:
    """A value that exists only after the deployment; the published types say which there are."""

    type: str
    name: str
    path: tuple[str, ...] = ()

    def member(self, name: str) -> Value:
        path = (*self.path, name)
        if not readable(self.type, path):
            raise ExpansionError(f"{self.type} has no property {'.'.join(path)}")
        return Runtime(self.type, self.name, path) if name == "properties" else f"<{self.type}/{self.name}.{name}>"


@dataclass(frozen=True)
class ModuleReference:
    """What a module symbol stands for inside an expression."""

    instance: Instance

    def member(self, name: str) -> Value:
        return OutputsReference(self.instance)


@dataclass(frozen=True)
class OutputsReference:
    """`module.outputs`."""

    instance: Instance

    def member(self, name: str) -> Value:
        return self.instance.output(name)


def resource_id(group: str, type_: str, name: str) -> str:
    """An id of the shape that Azure uses."""
    segments = "/".join(f"{t}/{n}" for t, n in zip(type_.split("/")[1:], name.split("/"), strict=False))
    return f"/subscriptions/sub/resourceGroups/{group}/providers/{type_.split('/')[0]}/{segments}"


def _as_it_is(value: Value) -> Value:
    return value


def _unique_string(*parts: Value) -> str:
    return "u" + hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:12]


def _union(*values: Value) -> Value:
    merged: dict[str, Value] = {}
    for value in values:
        merged.update(value)
    return merged


def _full_resource_id(*parts: str) -> str:
    group, type_, name = parts[-3:] if len(parts) > 2 else ("<group>", *parts)
    return resource_id(group, type_, name)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "contains": lambda container, item: item in container,
    "empty": lambda value: not value,
    "environment": lambda: {
        "suffixes": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"},
        "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
    },
    "first": lambda value: value[0],
    "guid": lambda *parts: str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(map(str, parts)))),
    "int": int,
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value, key=str.lower)],
    "join": lambda values, by: by.join(values),
    "last": lambda value: value[-1],
    "length": len,
    "replace": lambda value, old, new: value.replace(old, new),
    "split": lambda value, by: value.split(by),
    "string": str,
    "subscription": lambda: {"id": "/subscriptions/sub", "subscriptionId": "sub"},
    "subscriptionResourceId": lambda type_, name: f"/subscriptions/sub/providers/{type_}/{name}",
    "take": lambda value, count: value[:count],
    "tenant": lambda: {"tenantId": "00000000-0000-0000-0000-000000000001"},
    "toLower": str.lower,
    "union": _union,
    "uniqueString": _unique_string,
}

BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}


@dataclass(eq=False)
class Instance:
    """One template with its parameters' values: lazily evaluated, and expanded on request."""

    template: Template
    given: dict[str, Value]
    group: str
    _known: dict[str, Value] = field(default_factory=dict)

    def output(self, name: str) -> Value:
        for declaration in self.template.of_kind("output"):
            if declaration.name == name and declaration.value is not None:
                return self.evaluate(declaration.value, {})
        raise ExpansionError(f"{self.template.path.name} has no output {name}")

    def resources(self) -> list[Resource]:
        """Every resource of this template and of the modules it calls."""
        for declaration in self.template.of_kind("param"):
            self._symbol(declaration.name, declaration.node)
        found: list[Resource] = []
        for declaration in self.template.of_kind("resource", "module"):
            for node, local in self._bodies(declaration):
                if declaration.kind == "module":
                    found += self._module(declaration).resources()
                elif not declaration.existing:
                    found.append(self._resource(declaration, node, local))
        for declaration in self.template.of_kind("output"):
            self._ensure_type(declaration, self.output(declaration.name))
        return found

    # Declarations

    def _bodies(self, declaration: Declaration) -> list[tuple[Node, dict[str, Value]]]:
        value = declaration.value
        assert value is not None
        rounds = self._rounds(value, {}) if value.type == "for_statement" else [(value, {})]
        return [(body, local) for node, local in rounds if (body := self._unless_off(node, local)) is not None]

    def _rounds(self, loop: Node, outer: dict[str, Value]) -> list[tuple[Node, dict[str, Value]]]:
        names = [text(n) for n in loop.children[2:3]]
        if loop.children[2].type == "for_loop_parameters":
            names = [text(n) for n in loop.children[2].named_children]
        iterable, body = loop.named_children[1], loop.named_children[-1]
        rows = self.evaluate(iterable, outer)
        return [(body, {**outer, **dict(zip(names, (row, i), strict=False))}) for i, row in enumerate(rows)]

    def _unless_off(self, node: Node, local: dict[str, Value]) -> Node | None:
        if node.type != "if_statement":
            return node
        return node.named_children[-1] if self.evaluate(node.named_children[0], local) else None

    def _resource(self, declaration: Declaration, node: Node, local: dict[str, Value]) -> Resource:
        body = self.evaluate(node, local)
        type_, _, version = declaration.literal.partition("@")
        reference = self._reference(type_, body)
        return Resource(
            type_,
            version,
            reference.name,
            reference.group,
            body,
            declaration.name,
            self.template.path,
            declaration.line,
        )

    def _reference(self, type_: str, body: dict[str, Value]) -> Reference:
        parent, scope, name = body.get("parent"), body.get("scope"), body["name"]
        if isinstance(parent, Reference):
            return Reference(type_, f"{parent.name}/{name}", parent.group)
        return Reference(
            type_, name, scope.name if isinstance(scope, Reference) and "resourceGroups" in scope.type else self.group
        )

    def _module(self, declaration: Declaration) -> Instance:
        known = self._known.get("module " + declaration.name)
        if isinstance(known, Instance):
            return known
        scope = members(object_of(declaration)).get("scope")
        group = self.evaluate(scope, {}).name if scope is not None else self.group
        given = {name: self.evaluate(node, {}) for name, node in arguments(declaration).items()}
        path = (self.template.path.parent / declaration.literal).resolve()
        if not path.exists():
            raise ExpansionError(f"module file {declaration.literal} does not exist")
        instance = Instance(parse(path), given, group)
        self._known["module " + declaration.name] = instance
        return instance

    # Symbols

    def _symbol(self, name: str, node: Node) -> Value:
        if name not in self._known:
            declaration = self.template.find(name)
            if declaration is None:
                raise self._error(node, f"{name} is declared nowhere")
            self._known[name] = getattr(self, "_symbol_" + declaration.kind)(declaration)
        return self._known[name]

    def _symbol_param(self, declaration: Declaration) -> Value:
        if declaration.name in self.given:
            value = self.given[declaration.name]
        elif declaration.value is not None:
            value = self.evaluate(declaration.value, {})
        else:
            raise self._error(declaration.node, f"{declaration.name} has no value")
        self._ensure_allowed(declaration, value)
        return value

    def _ensure_allowed(self, declaration: Declaration, value: Value) -> None:
        allowed = declaration.decorator("allowed")
        if allowed is not None and value not in (values := self.evaluate(allowed.named_children[0], {})):
            raise self._error(declaration.node, f"{declaration.name} is {value!r}, allowed are {values}")
        longest = declaration.decorator("maxLength")
        if longest is not None and len(value) > int(text(longest.named_children[0])):
            raise self._error(declaration.node, f"{declaration.name} is {value!r}, which is too long")
        self._ensure_type(declaration, value)

    def _ensure_type(self, declaration: Declaration, value: Value) -> None:
        types: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "array": (list,), "object": (dict,)}
        if not isinstance(value, types.get(declaration.type_name, (str,))):
            raise self._error(declaration.node, f"{declaration.name} should be {declaration.type_name}, is {value!r}")

    def _symbol_var(self, declaration: Declaration) -> Value:
        assert declaration.value is not None
        return self.evaluate(declaration.value, {})

    def _symbol_module(self, declaration: Declaration) -> Value:
        return ModuleReference(self._module(declaration))

    def _symbol_resource(self, declaration: Declaration) -> Value:
        type_ = declaration.literal.partition("@")[0]
        value = declaration.value
        assert value is not None
        if value.type != "for_statement":
            return self._reference(
                type_, self._head(value.named_children[-1] if value.type == "if_statement" else value, {})
            )
        rounds = self._rounds(value, {})
        bodies = [(node.named_children[-1] if node.type == "if_statement" else node, local) for node, local in rounds]
        return [self._reference(type_, self._head(node, local)) for node, local in bodies]

    def _head(self, body: Node, local: dict[str, Value]) -> dict[str, Value]:
        wanted = members(body)
        return {key: self.evaluate(wanted[key], local) for key in ("name", "parent", "scope") if key in wanted}

    # Expressions

    def evaluate(self, node: Node, local: dict[str, Value]) -> Value:
        """The value of an expression."""
        method: Callable[[Node, dict[str, Value]], Value] | None = getattr(self, "_eval_" + node.type, None)
        if method is None:
            raise self._error(node, f"cannot evaluate {node.type} {text(node)[:40]!r}")
        return method(node, local)

    def _error(self, node: Node, reason: str) -> ExpansionError:
        return ExpansionError(f"{self.template.path.name}:{node.start_point[0] + 1}: {reason}")

    def _eval_identifier(self, node: Node, local: dict[str, Value]) -> Value:
        name = text(node)
        return local[name] if name in local else self._symbol(name, node)

    def _eval_string(self, node: Node, local: dict[str, Value]) -> str:
        if not any(child.type == "interpolation" for child in node.named_children):
            return plain_string(node)
        parts = [
            str(self.evaluate(child.named_children[0], local)) if child.type == "interpolation" else text(child)
            for child in node.named_children
        ]
        return "".join(parts).replace("\\'", "'")

    def _eval_number(self, node: Node, local: dict[str, Value]) -> int:
        return int(text(node))

    def _eval_boolean(self, node: Node, local: dict[str, Value]) -> bool:
        return text(node) == "true"

    def _eval_null(self, node: Node, local: dict[str, Value]) -> None:
        return None

    def _eval_object(self, node: Node, local: dict[str, Value]) -> dict[str, Value]:
        found = {}
        for member in node.named_children:
            if member.type == "object_property":
                key, value = [child for child in member.named_children if child.type != "comment"][:2]
                name = self.evaluate(key, local) if key.type == "string" else text(key)
                found[name] = self.evaluate(value, local)
        return found

    def _eval_array(self, node: Node, local: dict[str, Value]) -> list[Value]:
        return [self.evaluate(child, local) for child in node.named_children if child.type != "comment"]

    def _eval_for_statement(self, node: Node, local: dict[str, Value]) -> list[Value]:
        return [self.evaluate(body, inner) for body, inner in self._rounds(node, local)]

    def _eval_parenthesized_expression(self, node: Node, local: dict[str, Value]) -> Value:
        return self.evaluate(node.named_children[0], local)

    def _eval_ternary_expression(self, node: Node, local: dict[str, Value]) -> Value:
        condition, yes, no = [child for child in node.named_children if child.type != "comment"]
        return self.evaluate(yes if self.evaluate(condition, local) else no, local)

    def _eval_unary_expression(self, node: Node, local: dict[str, Value], postfix: Postfix = _as_it_is) -> Value:
        value = self._with_postfix(node.named_children[0], local, postfix)
        return not value if text(node.children[0]) == "!" else -value

    def _eval_binary_expression(self, node: Node, local: dict[str, Value], postfix: Postfix = _as_it_is) -> Value:
        left, right = node.named_children
        operator = text(node.children[1])
        first = self.evaluate(left, local)
        if operator in ("&&", "||") and bool(first) == (operator == "||"):
            return first
        second = self._with_postfix(right, local, postfix)
        return second if operator in ("&&", "||") else BINARY[operator](first, second)

    def _eval_member_expression(self, node: Node, local: dict[str, Value]) -> Value:
        name = text(node.named_children[-1])
        return self._with_postfix(node.named_children[0], local, lambda value: self._member(node, value, name))

    def _eval_subscript_expression(self, node: Node, local: dict[str, Value]) -> Value:
        index = self.evaluate(node.named_children[1], local)
        return self._with_postfix(node.named_children[0], local, lambda value: value[index])

    def _with_postfix(self, target: Node, local: dict[str, Value], postfix: Postfix) -> Value:
        # The grammar reads `a || !b.c.d` as `((a || !b).c).d`; Bicep means `a || !(b.c.d)`. So postfixes move inwards.
        if target.type == "member_expression":
            name = text(target.named_children[-1])
            return self._with_postfix(
                target.named_children[0], local, lambda value: postfix(self._member(target, value, name))
            )
        if target.type == "binary_expression":
            return self._eval_binary_expression(target, local, postfix)
        if target.type == "unary_expression":
            return self._eval_unary_expression(target, local, postfix)
        return postfix(self.evaluate(target, local))

    def _member(self, node: Node, value: Value, name: str) -> Value:
        if isinstance(value, (Reference, Runtime, ModuleReference, OutputsReference)):
            return value.member(name)
        if isinstance(value, dict) and name in value:
            return value[name]
        raise self._error(node, f"{text(node)[:60]!r}: there is no {name}")

    def _eval_call_expression(self, node: Node, local: dict[str, Value]) -> Value:
        name = text(node.named_children[0])
        values = [self.evaluate(child, local) for child in node.named_children[1].named_children]
        if name == "resourceId":
            return _full_resource_id(*([self.group] if len(values) == 2 else []), *values)
        if name not in FUNCTIONS:
            raise self._error(node, f"{name}() is not known to the checks")
        return FUNCTIONS[name](*values)


def expand(root: Path, **parameters: Value) -> list[Resource]:
    """The resources that `main.bicep` would deploy with these parameters.

    Raises ExpansionError where a deployment could not even be planned.
    """
    template = parse(root / "infra" / "main.bicep")
    return Instance(template, {"environmentName": "demo", **parameters}, "<subscription>").resources()
