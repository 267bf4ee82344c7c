"""Checks that a function's parameters and its bindings agree, with the worker's own words when they do not.

The rules are those of azure-functions-python-worker (`functions.py`); one function that breaks them keeps the whole
app from loading, as on Azure.
"""

from __future__ import annotations

import collections.abc
import inspect
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from azure.functions import get_binding_registry

from .failures import LoadFailed


@dataclass(frozen=True)
class Signature:
    """How to call a function: which parameters come from which binding, what becomes of the result."""

    name: str
    call: Callable[..., Any]
    bindings: list[dict[str, Any]]
    is_async: bool
    wants_context: bool
    trigger: dict[str, Any]
    outputs: dict[str, dict[str, Any]]  # the func.Out parameters, by name
    returned: dict[str, Any] | None  # the $return binding
    plain: frozenset[str]  # parameters that take the text or bytes as they are, past azure-functions' converters


def read_signature(function: Any) -> Signature:
    """The signature of an indexed function. LoadFailed: its parameters and bindings do not fit."""
    name = function.get_function_name()
    call = function.get_user_function()
    bindings = [json.loads(text) for text in function.get_raw_bindings()]
    trigger_name = function.get_trigger().name
    parameters = dict(inspect.signature(call).parameters)
    annotations = _annotations(name, call)
    bound = {binding["name"]: binding for binding in bindings if binding["name"] != "$return"}
    wants_context = _takes_context(name, parameters, bound, annotations)
    _check_names(name, parameters, bound)
    plain = frozenset(one for one in parameters if _check_parameter(name, bound[one], annotations) is PLAIN)
    returned = next((binding for binding in bindings if binding["name"] == "$return"), None)
    if returned is not None and "return" in annotations:
        _check_return(name, returned["type"], annotations["return"])
    return Signature(
        name=name,
        call=call,
        bindings=bindings,
        is_async=inspect.iscoroutinefunction(call),
        wants_context=wants_context,
        trigger=bound[trigger_name],
        outputs={key: binding for key, binding in bound.items() if _is_out(binding)},
        returned=returned,
        plain=plain,
    )


def converter_of(kind: str) -> Any:
    """azure-functions' converter of a binding type, None when it has none."""
    return get_binding_registry().get(kind)  # type: ignore[no-untyped-call]


def _refuse(name: str, reason: str) -> LoadFailed:
    return LoadFailed(f"cannot load the {name} function: {reason}")


def _is_out(binding: dict[str, Any]) -> bool:
    return str(binding.get("direction", "IN")).upper() == "OUT"


def _annotations(name: str, call: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call)
    except Exception as error:
        raise _refuse(name, f"its annotations cannot be resolved: {error}") from error


def _takes_context(name: str, parameters: dict[str, Any], bound: dict[str, Any], annotations: dict[str, Any]) -> bool:
    if "context" not in parameters or "context" in bound:
        return False
    parameters.pop("context")
    annotation = annotations.get("context")
    if annotation is not None and getattr(annotation, "__name__", "") != "Context":
        raise _refuse(
            name, f'the "context" parameter is expected to be of type azure.functions.Context, got {annotation!r}'
        )
    return True


def _check_names(name: str, parameters: dict[str, Any], bound: dict[str, Any]) -> None:
    undeclared = set(parameters) - set(bound)
    if undeclared:
        raise _refuse(name, f"the following parameters are declared in Python but not in function.json: {undeclared!r}")
    missing = set(bound) - set(parameters)
    if missing:
        raise _refuse(name, f"the following parameters are declared in function.json but not in Python: {missing!r}")


class Plain:
    """What the worker does of a binding without azure-functions: text and bytes go through as they are."""

    def check_input_type_annotation(self, annotation: Any) -> bool:
        return issubclass(annotation, (str, bytes))

    def check_output_type_annotation(self, annotation: Any) -> bool:
        return issubclass(annotation, (str, bytes, bytearray))


PLAIN = Plain()


def _check_parameter(name: str, binding: dict[str, Any], annotations: dict[str, Any]) -> Any:
    """Raises when the parameter's annotation does not fit its binding; returns what converts its values."""
    parameter = binding["name"]
    converter = converter_of(binding["type"])
    if parameter not in annotations:
        return converter or PLAIN
    annotation = annotations[parameter]
    out_of = _out_annotation(annotation)
    kind = out_of[0] if out_of else annotation
    if not isinstance(kind, type) and not _is_generic(kind):
        raise _refuse(name, f"binding {parameter} has invalid non-type annotation {annotation!r}")
    if _is_out(binding) and not out_of:
        raise _refuse(
            name,
            f'binding {parameter} is declared to have the "out" direction, but its annotation in Python is not '
            "a subclass of azure.functions.Out",
        )
    if not _is_out(binding) and out_of:
        raise _refuse(
            name,
            f'binding {parameter} is declared to have the "in" direction in function.json, but its annotation is '
            "azure.functions.Out in Python",
        )
    has_implicit_output = getattr(converter, "has_implicit_output", lambda: False)  # only those of triggers can say so
    is_plain = kind in (str, bytes) and not has_implicit_output()
    converter = PLAIN if is_plain or converter is None else converter
    _check_type(name, binding, converter, kind, bool(out_of))
    return converter


def _is_generic(annotation: Any) -> bool:
    """Whether the worker takes an annotation of typing's (List[str]); list[str] it refuses, like unions and tuples."""
    unfit = (typing.Union, tuple, typing.ClassVar, collections.abc.Callable)
    return isinstance(annotation, GENERICS) and typing.get_origin(annotation) not in unfit


GENERICS: tuple[type, ...] = (typing._GenericAlias, typing._SpecialGenericAlias)  # type: ignore[attr-defined]


def _check_return(name: str, kind: str, annotation: Any) -> None:
    if _out_annotation(annotation):
        raise _refuse(name, "return annotation should not be azure.functions.Out")
    if not isinstance(annotation, type):
        raise _refuse(name, f"has invalid non-type return annotation {annotation!r}")
    converter = converter_of(kind)
    if converter is not None and not converter.check_output_type_annotation(annotation):
        raise _refuse(name, f'Python return annotation "{annotation.__name__}" does not match binding type "{kind}"')


def _out_annotation(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation) or annotation
    if getattr(origin, "__name__", "") != "Out":
        return []
    return list(typing.get_args(annotation)) or [Any]


def _check_type(name: str, binding: dict[str, Any], converter: Any, annotation: Any, is_out: bool) -> None:
    check = converter.check_output_type_annotation if is_out else converter.check_input_type_annotation
    try:
        fits = check(annotation)
    except TypeError as error:
        raise LoadFailed(f"TypeError: {error}") from error  # as the worker lets it through
    if not fits:
        raise _refuse(
            name,
            f'type of {binding["name"]} binding in function.json "{binding["type"]}" does not match its Python '
            f'annotation "{getattr(annotation, "__name__", annotation)}"',
        )
