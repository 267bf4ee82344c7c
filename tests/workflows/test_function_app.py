"""The deployed app as the Python worker meets it: one app object, loadable signatures, routes that cannot collide."""

import asyncio
import inspect
import itertools
import json
import re
import typing
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest

import function_app

ROOT = Path(function_app.__file__).parent


def _functions() -> list[Any]:
    app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)
    for part in function_app.PARTS:
        app.register_functions(part.blueprint)
    return list(app.get_functions())


FUNCTIONS = _functions()
HTTP = [f for f in FUNCTIONS if f.get_trigger().type == "httpTrigger"]


def bindings(function: Any) -> list[dict[str, Any]]:
    return list(function.get_bindings_dict()["bindings"])


def test_there_is_exactly_one_app_object() -> None:
    registers = [value for value in vars(function_app).values() if isinstance(value, func.FunctionRegister)]
    assert registers == [function_app.app]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.get_function_name())
def test_the_worker_can_load_every_signature(function: Any) -> None:
    """The worker wants every bound name as a parameter, and refuses annotations that are not types."""
    user_function = function.get_user_function()
    bound = {binding["name"] for binding in bindings(function)} - {"$return"}
    assert set(inspect.signature(user_function).parameters) == bound
    for name, annotation in typing.get_type_hints(user_function).items():
        if name in bound or (name == "return" and function in HTTP):
            assert type(annotation) is not type(list[int]) and isinstance(annotation, type), (name, annotation)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.get_function_name())
def test_every_function_with_a_client_is_async(function: Any) -> None:
    if any(binding["type"] == "durableClient" for binding in bindings(function)):
        assert asyncio.iscoroutinefunction(function.get_user_function().client_function)


@pytest.mark.parametrize("function", HTTP, ids=lambda f: f.get_function_name())
def test_every_endpoint_but_health_wants_a_key(function: Any) -> None:
    level = function.get_trigger().auth_level
    expected = func.AuthLevel.ANONYMOUS if function.get_function_name() == "health" else func.AuthLevel.FUNCTION
    assert level == expected


def test_no_two_routes_can_match_the_same_request() -> None:
    """Azure takes overlapping routes by the functions' names in the alphabet, not by how exact they are."""
    for one, other in itertools.combinations([f.get_trigger() for f in HTTP], 2):
        if set(one.methods) & set(other.methods):
            assert not _overlap(one.route.split("/"), other.route.split("/")), (one.route, other.route)


def _overlap(one: list[str], other: list[str]) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all("{" in a + b or a.lower() == b.lower() for a, b in pairs)


def test_every_requirement_is_pinned() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[a-z-]+==[0-9.]+", line) for line in lines)


def test_host_json_names_one_hub_and_the_bundle_of_the_fourth_line() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    durable = host["extensions"]["durableTask"]
    assert host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", durable["hubName"])
    assert durable["storageProvider"]["partitionCount"] == 4 and durable["useAppLease"] is True


def test_every_durable_setting_has_its_reason_in_the_docs() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    durable = host["extensions"]["durableTask"]
    names = {*durable, *durable["storageProvider"]} - {"storageProvider"}
    text = (ROOT / "docs" / "host-json.md").read_text()
    assert not [name for name in names if f"`{name}`" not in text]


def test_what_never_ships_is_not_deployed() -> None:
    ignored = (ROOT / ".funcignore").read_text().splitlines()
    for name in ("lab/", "tests/", "infra/", "scripts/", "local.settings.json", ".lab/", "node_modules/"):
        assert name in ignored
    assert not [name for name in ("workflows/", "function_app.py", "host.json", "requirements.txt") if name in ignored]
