"""One loaded app: what functions it has, and how each is called."""

from __future__ import annotations

import os
import re
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from . import loading, signatures
from .episodes import Episodes
from .invocations import Invocations

SETTING = re.compile(r"%([^%\s]+)%")
REGISTERED_UNDER = {
    "orchestrationTrigger": "orchestration",
    "activityTrigger": "activity",
    "entityTrigger": "entityName",
}


class App:
    """The functions of an app. Everything is called on one event loop's thread."""

    def __init__(self, root: Path, functions: list[signatures.Signature], threads: Executor | None) -> None:
        self.functions = functions
        by_name = {function.name: function for function in functions}
        self._invocations = Invocations(by_name, str(root), threads)
        self._episodes = Episodes(by_name)

    def describe(self) -> list[dict[str, Any]]:
        """The functions as FunctionInfo's fields, app settings put in where their bindings name them."""
        return [
            {
                "name": function.name,
                "trigger": function.trigger["type"],
                "bindings": [with_settings(binding) for binding in function.bindings],
                "registered_name": registered_name(function),
            }
            for function in self.functions
        ]

    async def call(self, kind: str, function: str, value: Any, client: str | None) -> Any:
        """Runs a function: kind is http, activity, entity or trigger. FunctionRaised."""
        if kind == "http":
            return await self._invocations.http(function, value, client)
        if kind == "activity":
            return await self._invocations.activity(function, value, client)
        if kind == "entity":
            return await self._invocations.entity(function, value)
        return await self._invocations.trigger(function, value, client)

    def episode(self, call: dict[str, Any]) -> dict[str, Any]:
        """Plays an episode at once: orchestrators are short and never wait. FunctionRaised, NoSession."""
        return self._episodes.play(call)

    def forget(self, instance_id: str) -> None:
        """Drops a kept orchestrator."""
        self._episodes.forget(instance_id)


def registered_name(function: signatures.Signature) -> str:
    """The name under which the Durable extension knows the function; empty for other triggers."""
    key = REGISTERED_UNDER.get(function.trigger["type"])
    if key is None:
        return ""
    return str(with_settings(function.trigger).get(key) or function.name)


def with_settings(binding: dict[str, Any]) -> dict[str, Any]:
    """A binding with %NAME% in its texts replaced by the app setting NAME; what is not set stays as it is."""
    return {key: SETTING.sub(_setting, value) if isinstance(value, str) else value for key, value in binding.items()}


def _setting(match: re.Match[str]) -> str:
    return os.environ.get(match[1], match[0])


def load(root: Path, threads: Executor | None) -> App:
    """Loads the app in `root`; its folder must already be on the path. LoadFailed."""
    functions = [signatures.read_signature(function) for function in loading.load_functions(root)]
    return App(root, functions, threads)
