"""What a function's bindings say about its route, methods and level; `test_server` sends the requests."""

from __future__ import annotations

import pytest

from lab.gateway import level_of, methods_of, route_of
from lab.worker import FunctionInfo


def function(**binding: object) -> FunctionInfo:
    return FunctionInfo("start_order", "httpTrigger", [{"name": "req", "type": "httpTrigger", **binding}])


@pytest.mark.parametrize(
    ("route", "prefix", "whole"),
    [
        (None, "api", "api/start_order"), ("orders/{id}", "api", "api/orders/{id}"), ("orders", "", "orders"),
        ("", "api", "api"), ("/orders", "v1", "v1/orders"),
    ],
)  # fmt: skip
def test_a_route_stands_below_the_prefix(route: str | None, prefix: str, whole: str) -> None:
    assert route_of(function(**({} if route is None else {"route": route})), prefix) == whole


def test_methods_are_in_capitals_and_none_means_all() -> None:
    assert methods_of(function(methods=["get", "POST"])) == ["GET", "POST"]
    assert methods_of(function()) == []


def test_the_level_is_function_unless_it_is_named() -> None:
    assert level_of(function()) == "FUNCTION"
    assert level_of(function(authLevel="ANONYMOUS")) == "ANONYMOUS"
