"""Route templates of HTTP triggers, as ASP.NET reads them: parameters, constraints, defaults, optional, catch-all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from lab.errors import AppError

Target = TypeVar("Target")
Check = Callable[[str], bool]

# How specific a segment is; the lower, the earlier it is tried.
LITERAL, MIXED_CONSTRAINED, MIXED, CONSTRAINED, PARAMETER, CATCH_ALL_CONSTRAINED, CATCH_ALL = range(7)


@dataclass(frozen=True)
class Parameter:
    """`{name:constraint=default}`; `{name?}` is optional, `{*name}` takes the rest of the path."""

    name: str
    checks: tuple[Check, ...] = ()
    default: str | None = None
    is_optional: bool = False
    is_catch_all: bool = False

    def accepts(self, value: str) -> bool:
        """Whether all constraints hold."""
        return all(check(value) for check in self.checks)


@dataclass(frozen=True)
class Segment:
    """One segment of a template: texts and parameters in turn."""

    parts: tuple[str | Parameter, ...]

    @property
    def rank(self) -> int:
        parameters = [part for part in self.parts if isinstance(part, Parameter)]
        if not parameters:
            return LITERAL
        is_constrained = any(parameter.checks for parameter in parameters)
        if parameters[0].is_catch_all:
            return CATCH_ALL_CONSTRAINED if is_constrained else CATCH_ALL
        if len(self.parts) > 1:
            return MIXED_CONSTRAINED if is_constrained else MIXED
        return CONSTRAINED if is_constrained else PARAMETER

    def only_parameter(self) -> Parameter | None:
        """The parameter that is the whole segment."""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], Parameter) else None

    def match(self, value: str) -> dict[str, str] | None:
        """The parameters' values in one segment of a path, None when it does not fit."""
        found = self._pattern().fullmatch(value)
        if found is None:
            return None
        values = found.groups()
        parameters = [part for part in self.parts if isinstance(part, Parameter)]
        if not all(parameter.accepts(text) for parameter, text in zip(parameters, values, strict=True)):
            return None
        return {parameter.name: text for parameter, text in zip(parameters, values, strict=True)}

    def _pattern(self) -> re.Pattern[str]:
        parts = ("(.+)" if isinstance(part, Parameter) else re.escape(part) for part in self.parts)
        return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Template:
    """A route, in segments."""

    text: str
    segments: tuple[Segment, ...]

    @property
    def order(self) -> tuple[tuple[int, ...], int]:
        """Sorts specific routes before general ones."""
        return tuple(segment.rank for segment in self.segments), -len(self.segments)

    def match(self, path: list[str]) -> dict[str, str] | None:
        """The route values of a path's segments, None when it does not fit."""
        found: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            parameter = segment.only_parameter()
            if parameter is not None and parameter.is_catch_all:
                return _with_rest(found, parameter, path[position:])
            if position < len(path) and path[position]:
                values = segment.match(path[position])
                if values is None:
                    return None
                found.update(values)
            elif parameter is None or not (parameter.is_optional or parameter.default is not None):
                return None
            elif parameter.default is not None:
                found[parameter.name] = parameter.default
        return found if len(path) <= len(self.segments) else None


def _with_rest(found: dict[str, str], parameter: Parameter, rest: list[str]) -> dict[str, str] | None:
    value = "/".join(rest) or parameter.default
    if value is None:
        return found
    if not parameter.accepts(value):
        return None
    return {**found, parameter.name: value}


class RouteTable(Generic[Target]):
    """Routes and what they lead to; among those that fit, the most specific comes first."""

    def __init__(self, routes: Iterable[tuple[str, Target]]) -> None:
        parsed = [(parse(text), target) for text, target in routes]
        self._routes = sorted(parsed, key=lambda route: route[0].order)

    def find(self, path: str) -> list[tuple[Target, dict[str, str]]]:
        """Everything a path may lead to, with the route values."""
        segments = path.strip("/").split("/") if path.strip("/") else []
        found = []
        for template, target in self._routes:
            values = template.match(segments)
            if values is not None:
                found.append((target, values))
        return found


def parse(text: str) -> Template:
    """A route template. AppError: it is none."""
    trimmed = text.strip("/")
    segments = [_segment(text, part) for part in _split(trimmed)] if trimmed else []
    for segment in segments[:-1]:
        parameter = segment.only_parameter()
        if parameter is not None and parameter.is_catch_all:
            raise AppError(f"The route {text!r} goes on after a parameter that takes the rest of the path.")
    return Template(text, tuple(segments))


def _split(text: str) -> list[str]:
    """The segments; slashes inside of braces (in a pattern) do not count."""
    segments, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "/" and depth <= 0:
            segments.append(text[start:position])
            start = position + 1
    return [*segments, text[start:]]


def _segment(route: str, text: str) -> Segment:
    parts: list[str | Parameter] = []
    at = 0
    while at < len(text):
        if text.startswith(("{{", "}}"), at):
            parts.append(text[at])
            at += 2
        elif text[at] == "{":
            end = _closing(route, text, at)
            parts.append(_parameter(route, text[at + 1 : end]))
            at = end + 1
        elif text[at] == "}":
            raise AppError(f"The route {route!r} has a }} without its {{.")
        else:
            end = min((place for place in (text.find("{", at), text.find("}", at)) if place >= 0), default=len(text))
            parts.append(text[at:end])
            at = end
    return Segment(tuple(parts))


def _closing(route: str, text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise AppError(f"The route {route!r} has a {{ without its }}.")


def _parameter(route: str, text: str) -> Parameter:
    match = re.fullmatch(r"(\*{0,2})([^:=?*]+)((?::(?:[^:=(]+(?:\(.*?\)(?=[:=?]|$))?))*)(\?|=.*)?", text)
    if match is None:
        raise AppError(f"The route {route!r} has a parameter {{{text}}} that cannot be read.")
    stars, name, constraints, ending = match.groups()
    is_optional = ending == "?"
    constraints = constraints or ""
    if constraints.endswith("?"):
        constraints, is_optional = constraints[:-1], True
    checks = tuple(_check(route, one) for one in _constraints(constraints))
    default = ending[1:] if ending and ending.startswith("=") else None
    return Parameter(name, checks, default, is_optional, bool(stars))


def _constraints(text: str) -> list[str]:
    return [found for found in re.findall(r":([^:(]+(?:\(.*?\)(?=:|$))?)", text)]


def _check(route: str, text: str) -> Check:
    name, _, rest = text.partition("(")
    argument = rest.removesuffix(")").replace("{{", "{").replace("}}", "}")
    make = CONSTRAINTS.get(name.lower())
    if make is None:
        raise AppError(f"The route {route!r} has a constraint {name!r} that does not exist.")
    try:
        return make(argument)
    except (ValueError, re.error) as error:
        raise AppError(f"The route {route!r} has a constraint {text!r} that cannot be read: {error}") from error


def _whole(lowest: int, highest: int) -> Callable[[str], Check]:
    def make(_: str) -> Check:
        return lambda value: bool(re.fullmatch(r"\s*[-+]?\d+\s*", value)) and lowest <= int(value) <= highest

    return make


def _pattern(pattern: str, flags: re.RegexFlag = re.IGNORECASE) -> Check:
    compiled = re.compile(pattern, flags)
    return lambda value: compiled.search(value) is not None


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"\s*[-+]?(\d[\d,]*\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", value))


def _is_date(value: str) -> bool:
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %I:%M%p"):
        try:
            datetime.strptime(value, form)
            return True
        except ValueError:
            continue
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))
        return True
    except ValueError:
        return False


def _length(argument: str) -> Check:
    numbers = [int(number) for number in argument.split(",")]
    lowest, highest = numbers[0], numbers[-1]
    return lambda value: lowest <= len(value) <= highest


def _bounded(argument: str) -> Check:
    lowest, highest = (int(number) for number in argument.split(","))
    return lambda value: _is_int(value) and lowest <= int(value) <= highest


def _is_int(value: str) -> bool:
    return bool(re.fullmatch(r"\s*[-+]?\d{1,19}\s*", value))


def _at_least(argument: str) -> Check:
    lowest = int(argument)
    return lambda value: _is_int(value) and int(value) >= lowest


def _at_most(argument: str) -> Check:
    highest = int(argument)
    return lambda value: _is_int(value) and int(value) <= highest


def _min_length(argument: str) -> Check:
    lowest = int(argument)
    return lambda value: len(value) >= lowest


def _max_length(argument: str) -> Check:
    highest = int(argument)
    return lambda value: len(value) <= highest


def _plain(check: Check) -> Callable[[str], Check]:
    return lambda _: check


GUID = r"^[({]?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}[)}]?$"
CONSTRAINTS: dict[str, Callable[[str], Check]] = {
    "int": _whole(-(2**31), 2**31 - 1),
    "long": _whole(-(2**63), 2**63 - 1),
    "bool": _plain(lambda value: value.strip().lower() in ("true", "false")),
    "datetime": _plain(_is_date),
    "decimal": _plain(_is_number),
    "double": _plain(_is_number),
    "float": _plain(_is_number),
    "guid": _plain(_pattern(GUID)),
    "alpha": _plain(_pattern(r"^[a-z]*$")),
    "required": _plain(bool),
    "file": _plain(lambda value: "." in value.rsplit("/", 1)[-1].rstrip(".")),
    "nonfile": _plain(lambda value: "." not in value.rsplit("/", 1)[-1].rstrip(".")),
    "length": _length,
    "minlength": _min_length,
    "maxlength": _max_length,
    "min": _at_least,
    "max": _at_most,
    "range": _bounded,
    "regex": _pattern,
}
