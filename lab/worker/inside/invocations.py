"""Calls the app's functions: arguments from bindings in, results as bindings out.

Sync functions run in the thread pool, async ones on the event loop, as in the Python worker. What goes in and comes
out is converted by azure-functions' own converters, so an app gets exactly the objects it gets on Azure.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from azure.functions import Context
from azure.functions.meta import Datum

from .failures import FunctionRaised, describe
from .signatures import Signature, converter_of

ACTIVITY_RESULT = "$activity"  # among the outputs of an activity that is run with its bindings

current_invocation: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar(
    "current_invocation", default=("", "")
)


class InvocationContext(Context):
    """The `context` parameter of a function that asks for one."""

    def __init__(self, function: str, invocation_id: str, directory: str) -> None:
        self._function = function
        self._invocation_id = invocation_id
        self._directory = directory
        self._local = threading.local()

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def function_name(self) -> str:
        return self._function

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> Any:
        return None

    @property
    def retry_context(self) -> Any:
        return None


class OutValue:
    """A `func.Out[...]` argument."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value


@dataclass
class Invocations:
    """The functions of an app, ready to be called by name."""

    functions: dict[str, Signature]
    directory: str
    threads: Executor | None  # None: sync functions run where they are called (tests in one thread)

    async def http(self, function: str, request: dict[str, Any], client: str | None) -> dict[str, Any]:
        """Answers a request: {"status", "headers", "body", "outputs"}."""
        signature = self.functions[function]
        if signature.trigger["name"] in signature.plain:
            raise FunctionRaised("ValueError: unexpected type of data received for the \"generic\" binding : 'http'")
        inputs = request.get("inputs", {})
        result, outputs = await self._call(signature, _http_request(request), client, inputs)
        try:
            response = _http_response(result)
            outputs_out = self._outputs(signature, outputs)
        except Exception as error:
            raise describe(error) from error
        return {**response, "outputs": outputs_out}

    async def activity(self, function: str, input: str | None, client: str | None) -> str:
        """The JSON text of what an activity returned."""
        signature = self.functions[function]
        converter = converter_of("activityTrigger")
        try:
            argument = converter.decode(Datum("null" if input is None else input, "string"), trigger_metadata={})
        except Exception as error:
            raise describe(error) from error
        result, _ = await self._call(signature, argument, client)
        try:
            encoded = converter.encode(result, expected_type=None)
        except Exception as error:
            raise describe(error) from error
        return str(encoded.value)

    async def entity(self, function: str, batch: str) -> str:
        """The JSON text that an entity function answered to its trigger's JSON."""
        converter = converter_of("entityTrigger")
        argument = converter.decode(Datum(batch, "string"), trigger_metadata={})
        result, _ = await self._call(self.functions[function], argument, None)
        if not isinstance(result, str):
            raise FunctionRaised(f"TypeError: the entity function answered {type(result).__name__}, not JSON text")
        return result

    async def trigger(self, function: str, data: dict[str, Any], client: str | None) -> dict[str, Any]:
        """The outputs of a function with another trigger, by binding name; `data` is its trigger's value."""
        signature = self.functions[function]
        try:
            argument = _decode_trigger(_kind(signature, signature.trigger), data)
        except Exception as error:
            raise describe(error) from error
        result, outputs = await self._call(signature, argument, client, data.get("inputs", {}))
        try:
            if signature.returned is not None and result is not None:
                outputs = {**outputs, "$return": result}
            written = self._outputs(signature, outputs)
            if signature.trigger["type"] == "activityTrigger":
                encoded = converter_of("activityTrigger").encode(result, expected_type=None)
                written[ACTIVITY_RESULT] = {"type": "json", "value": str(encoded.value)}
            return written
        except Exception as error:
            raise describe(error) from error

    async def _call(
        self, signature: Signature, argument: Any, client: str | None, inputs: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        invocation_id = str(uuid.uuid4())
        arguments: dict[str, Any] = {signature.trigger["name"]: argument}
        for binding in signature.bindings:
            if binding["type"] == "durableClient":
                arguments[binding["name"]] = client
            elif inputs and binding["name"] in inputs:
                arguments[binding["name"]] = _decode_input(_kind(signature, binding), inputs[binding["name"]])
        outs = {name: OutValue() for name in signature.outputs}
        arguments.update(outs)
        if signature.wants_context:
            arguments["context"] = InvocationContext(signature.name, invocation_id, self.directory)
        token = current_invocation.set((signature.name, invocation_id))
        try:
            result = await self._run(signature, arguments)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # also SystemExit: an app that calls sys.exit fails, the worker lives on
            raise describe(error) from error
        finally:
            current_invocation.reset(token)
        return result, {name: out.get() for name, out in outs.items() if out.get() is not None}

    async def _run(self, signature: Signature, arguments: dict[str, Any]) -> Any:
        if signature.is_async:
            return await signature.call(**arguments)
        if self.threads is None:
            return signature.call(**arguments)
        call: Callable[[], Any] = lambda: signature.call(**arguments)  # noqa: E731
        inside = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self.threads, inside.run, call)

    def _outputs(self, signature: Signature, values: dict[str, Any]) -> dict[str, Any]:
        bindings = {binding["name"]: binding for binding in signature.bindings}
        return {
            name: _encode_output(_kind(signature, bindings[name]), value)
            for name, value in values.items()
            if bindings[name]["type"] != "http"
        }


def _kind(signature: Signature, binding: dict[str, Any]) -> str:
    """The binding type whose converter is asked; that of a plain parameter has none."""
    return "" if binding["name"] in signature.plain else str(binding["type"])


def _http_request(request: dict[str, Any]) -> Any:
    converter = converter_of("httpTrigger")
    text = Datum  # every part of a request travels as a Datum of type string
    headers: dict[str, str] = {}
    for name, value in request["headers"]:
        name = name.lower()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    value = {
        "method": text(request["method"], "string"),
        "url": text(request["url"], "string"),
        "headers": {name: text(content, "string") for name, content in headers.items()},
        "query": {name: text(content, "string") for name, content in request["query"].items()},
        "params": {name: text(content, "string") for name, content in request["route_params"].items()},
        "body": Datum(base64.b64decode(request["body"]), "bytes"),
    }
    return converter.decode(Datum(value, "http"), trigger_metadata={})


def _http_response(result: Any) -> dict[str, Any]:
    """The response of what an HTTP function returned; what is neither a response nor a text raises."""
    converter = converter_of("http")
    try:
        datum = converter.encode(result, expected_type=None)
    except NotImplementedError:
        raise TypeError(
            f'unable to encode outgoing TypedData: unsupported type "http" for Python type "{type(result).__name__}"'
        ) from None
    if datum.type == "string":
        body = datum.value.encode("utf-8", "surrogatepass")
        return _response(200, [("Content-Type", "text/plain; charset=utf-8")], body)
    parts = datum.value
    headers = [(name, value.value) for name, value in parts["headers"].items()]
    for cookie in parts["cookies"] or []:
        headers.extend(("Set-Cookie", morsel.OutputString()) for morsel in cookie.values())
    return _response(int(parts["status_code"].value), headers, parts["body"].value)


def _response(status: int, headers: list[tuple[str, str]], body: bytes) -> dict[str, Any]:
    return {"status": status, "headers": headers, "body": base64.b64encode(body).decode("ascii")}


def _decode_trigger(kind: str, data: dict[str, Any]) -> Any:
    """A trigger's argument from {"type", "value", "metadata": {name: {"type", "value"}}}; bytes as base64."""
    metadata = {name: _datum(part) for name, part in data.get("metadata", {}).items()}
    converter = converter_of(kind)
    datum = _datum(data)
    return datum.value if converter is None else converter.decode(datum, trigger_metadata=metadata)


def _decode_input(kind: str, part: dict[str, Any] | None) -> Any:
    """An input binding's argument: what azure-functions makes of it, or its plain text or bytes; None: nothing."""
    converter = converter_of(kind)
    if part is None:
        return None
    return _datum(part).value if converter is None else converter.decode(_datum(part), trigger_metadata={})


def _datum(part: dict[str, Any]) -> Datum:
    value = part["value"]
    return Datum(base64.b64decode(value) if part["type"] == "bytes" else value, part["type"])


def _encode_output(kind: str, value: Any) -> dict[str, Any]:
    converter = converter_of(kind)
    if converter is not None:
        datum = converter.encode(value, expected_type=None)
    elif isinstance(value, (bytes, bytearray)):
        datum = Datum(bytes(value), "bytes")
    elif isinstance(value, (dict, list)):
        datum = Datum(json.dumps(value), "json")
    else:
        datum = Datum(str(value), "string")
    content = base64.b64encode(datum.value).decode("ascii") if datum.type == "bytes" else datum.value
    return {"type": datum.type, "value": content}
