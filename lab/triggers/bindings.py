"""A worker whose functions have their input bindings read before they run and their outputs written afterwards.

HTTP functions, activities and functions of other triggers have bindings; orchestrators and entities cannot.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lab.errors import SettingsError
from lab.triggers import inputs, outputs
from lab.triggers.context import TriggerContext
from lab.triggers.expressions import Unresolved, json_properties, trigger_values
from lab.worker import (
    EpisodeCall,
    EpisodeResult,
    FunctionInfo,
    HttpRequest,
    HttpResponse,
    InvocationFailed,
    Worker,
)
from lab.worker.inside.invocations import ACTIVITY_RESULT
from taskhub.errors import AccountError

log = logging.getLogger("lab.triggers")
_FAULTS = (Unresolved, outputs.NotWritable, SettingsError, AccountError, UnicodeDecodeError)


class BoundWorker:
    """Hands every call on to the worker it is given, and does the bindings of those functions that have some."""

    def __init__(self, context: TriggerContext) -> None:
        self._worker: Worker = context.worker
        self._context = context
        self._inputs = {function.name: inputs_of(function) for function in self._worker.functions}
        self._outputs = {function.name: outputs_of(function) for function in self._worker.functions}

    @property
    def functions(self) -> list[FunctionInfo]:
        return self._worker.functions

    async def http(self, function: str, request: HttpRequest, client_binding: str | None) -> HttpResponse:
        names = _request_names(request) if self._inputs.get(function) or self._outputs.get(function) else {}
        read = await self._read(function, names)
        response = await self._worker.http(function, replace(request, inputs=read), client_binding)
        await self._write(function, response.outputs, names)
        return response

    async def trigger(self, function: str, data: dict[str, Any], client_binding: str | None) -> dict[str, Any]:
        names = trigger_values(data) if self._inputs.get(function) or self._outputs.get(function) else {}
        read = await self._read(function, names)
        values = await self._worker.trigger(function, {**data, "inputs": read}, client_binding)
        await self._write(function, values, names)
        return values

    async def activity(self, function: str, input: str | None, instance_id: str, client_binding: str | None) -> str:
        if not self._inputs.get(function) and not self._outputs.get(function):
            return await self._worker.activity(function, input, instance_id, client_binding)
        text = "null" if input is None else input
        names = {"instanceId": instance_id, **json_properties(text)}
        data = {"type": "string", "value": text, "metadata": {}, "inputs": await self._read(function, names)}
        values = await self._worker.trigger(function, data, client_binding)
        await self._write(function, values, names)
        return str(values[ACTIVITY_RESULT]["value"])

    async def entity(self, function: str, batch: str) -> str:
        return await self._worker.entity(function, batch)

    async def episode(self, call: EpisodeCall) -> EpisodeResult:
        return await self._worker.episode(call)

    def forget(self, instance_id: str) -> None:
        self._worker.forget(instance_id)

    async def close(self) -> None:
        await self._worker.close()

    async def _read(self, function: str, names: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for binding in self._inputs.get(function, []):
            try:
                found[binding["name"]] = await self._read_one(binding, names)
            except _FAULTS as error:
                raise _failure(function, binding, error) from error
        return found

    async def _read_one(self, binding: dict[str, Any], names: Mapping[str, Any]) -> dict[str, Any] | None:
        return await inputs.read(self._context, binding, names) if binding["type"] in inputs.READ_HERE else None

    async def _write(self, function: str, values: Mapping[str, Any], names: Mapping[str, Any]) -> None:
        bindings = self._outputs.get(function, {})
        for name, value in values.items():
            binding = bindings.get(name)
            if binding is None:
                continue
            if binding["type"] not in outputs.WRITTEN_HERE:
                log.warning("%s: the output %s (%s) is not written here.", function, name, binding["type"])
                continue
            try:
                await outputs.write(self._context, outputs.Output(binding, value, names))
            except _FAULTS as error:
                raise _failure(function, binding, error) from error


def inputs_of(function: FunctionInfo) -> list[dict[str, Any]]:
    """A function's input bindings beside its trigger and its durable client."""
    return [
        binding
        for binding in function.bindings
        if not _is_out(binding) and binding["type"] not in (function.trigger, "durableClient")
    ]


def outputs_of(function: FunctionInfo) -> dict[str, dict[str, Any]]:
    """A function's output bindings by name, the HTTP response left out."""
    return {binding["name"]: binding for binding in function.bindings if _is_out(binding) and binding["type"] != "http"}


def _is_out(binding: Mapping[str, Any]) -> bool:
    return str(binding.get("direction", "IN")).upper() == "OUT"


def _failure(function: str, binding: Mapping[str, Any], error: Exception) -> InvocationFailed:
    text = f"Exception while binding parameter '{binding['name']}': {error}"
    log.error("%s: %s", function, text)
    return InvocationFailed(f"{type(error).__name__}: {text}")


def _request_names(request: HttpRequest) -> dict[str, Any]:
    """What expressions may name in an HTTP function: its route, its query, its headers, and its JSON's properties."""
    headers = {name: value for name, value in request.headers}
    return {
        **json_properties(request.body),
        "query": request.query,
        "headers": headers,
        **request.query,
        **request.route_params,
    }
