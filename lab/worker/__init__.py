"""The language worker: loads the app, tells what functions it has, and runs them.

Two alternatives keep the interface below: `local` runs the functions in this process (tests, simulations), `process`
in a process of their own, with the app's interpreter, as the platform does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol


@dataclass(frozen=True)
class FunctionInfo:
    """One function of the app, as the real worker would report it."""

    name: str  # the function's name, unique in the app
    trigger: str  # httpTrigger, orchestrationTrigger, activityTrigger, entityTrigger, timerTrigger, queueTrigger, …
    bindings: list[dict[str, Any]]  # as in function.json, the trigger's included
    registered_name: str = ""  # for durable functions: the name under which the extension knows it


@dataclass(frozen=True)
class HttpRequest:
    """A request as it reaches an HTTP trigger."""

    method: str
    url: str  # absolute
    headers: list[tuple[str, str]]
    query: dict[str, str]
    route_params: dict[str, str]
    body: bytes
    inputs: dict[str, Any] = field(default_factory=dict)  # of the function's input bindings, by name


@dataclass(frozen=True)
class HttpResponse:
    """What an HTTP trigger answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    outputs: dict[str, Any] = field(default_factory=dict)  # of the function's other output bindings, by name


@dataclass(frozen=True)
class EpisodeCall:
    """One episode of an orchestrator: what it has seen so far, and what is new.

    `events` are history events as the extension sends them (numbers as EventType), from `start_index` on; a worker
    that does not hold the orchestrator of this instance and execution at exactly `start_index` raises SessionLost when
    that is not 0, and is then called again with all of them.
    """

    function: str
    instance_id: str
    execution_id: str
    parent_instance_id: str | None
    input: Any  # the JSON value of the stored input
    events: list[dict[str, Any]]
    start_index: int = 0
    keep: bool = False  # keep the orchestrator alive for the next episode


@dataclass(frozen=True)
class EpisodeResult:
    """What an episode came to. `actions` are the leaves' trees beyond those the session's earlier answers held."""

    is_done: bool
    actions: list[dict[str, Any]]
    actions_before: int  # how many top-level actions earlier answers of this session held
    output: str | None = None  # JSON text
    custom_status: str | None = None  # JSON text, None when there is none
    error: str | None = None  # set when the orchestrator raised
    cancelled_timers: list[int] = field(default_factory=list)  # CreateTimer leaves (by position) cancelled meanwhile
    stack: str = ""  # the traceback of `error`


class InvocationFailed(Exception):
    """A function raised. `text` is `Type: message` as the worker reports it; `stack` is the Python traceback."""

    def __init__(self, text: str, stack: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.stack = stack


class FunctionTimedOut(InvocationFailed):
    """A function ran longer than host.json's functionTimeout; its process has been ended.

    `text` is the message of the Functions host's FunctionTimeoutException.
    """

    def __init__(self, function: str, limit: timedelta) -> None:
        super().__init__(f"Timeout value of {timespan_text(limit)} was exceeded by function: Functions.{function}")


class SessionLost(Exception):
    """The worker does not hold that orchestrator (any more): send the whole history."""


class WorkerGone(Exception):
    """The worker's process ended in the middle of the call."""


def timespan_text(span: timedelta) -> str:
    """A time span as .NET writes it: [d.]hh:mm:ss[.fffffff]."""
    minutes, seconds = divmod(span.seconds, 60)
    days = f"{span.days}." if span.days else ""
    fraction = f".{span.microseconds:06}0" if span.microseconds else ""
    return f"{days}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{fraction}"


class Worker(Protocol):
    """Runs the functions of one app."""

    @property
    def functions(self) -> list[FunctionInfo]:
        """All functions of the app."""
        ...

    async def http(self, function: str, request: HttpRequest, client_binding: str | None) -> HttpResponse:
        """Runs an HTTP-triggered function. InvocationFailed: it raised, or what it returned is no response."""
        ...

    async def activity(self, function: str, input: str | None, instance_id: str, client_binding: str | None) -> str:
        """Runs an activity with the JSON text of its input and returns the JSON text of its result."""
        ...

    async def entity(self, function: str, batch: str) -> str:
        """Runs an entity function with the JSON of its trigger and returns the JSON it answered."""
        ...

    async def episode(self, call: EpisodeCall) -> EpisodeResult:
        """Runs one episode of an orchestrator. InvocationFailed: it failed outside of the out-of-process protocol."""
        ...

    async def trigger(self, function: str, data: dict[str, Any], client_binding: str | None) -> dict[str, Any]:
        """Runs a function of another trigger (timer, queue, blob); returns its outputs by binding name.

        `data` is {"type": "json" | "string" | "bytes", "value": …, "metadata": {name: {"type", "value"}}}, perhaps with
        "inputs": {name: {"type", "value"} or None}; an output is {"type", "value"}. Bytes are base64 text. An activity
        can be run like this too; what it returned is then the output `$activity`.
        """
        ...

    def forget(self, instance_id: str) -> None:
        """Drops the orchestrator kept for an instance, if any."""
        ...

    async def close(self) -> None:
        """Ends the worker; calls in progress get WorkerGone."""
        ...
