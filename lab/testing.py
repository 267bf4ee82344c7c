"""The test kit: run an app's orchestrations in memory, activities replaced by name, days in milliseconds.

    from lab.testing import AppHost, after

    def test_an_unanswered_request_times_out_after_three_days():
        run = AppHost("path/to/app").run("approval", {"amount": 10}, send_mail="sent")
        assert run.output == {"approved": False}
        assert run.calls == [("send_mail", {"amount": 10})]
        assert run.took == timedelta(days=3)

The orchestrators are the app's own and run on the real engine and the embedded account; only time and the activities
that the test names are not real.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.engine import Engine, Identity
from lab.function_index import FunctionIndex
from lab.host_json import DurableSettings
from lab.virtual_time import VirtualClock, run
from lab.worker import EpisodeCall, EpisodeResult, FunctionInfo, HttpRequest, HttpResponse, InvocationFailed, Worker
from lab.worker.local import LocalWorker
from taskhub.accounts import Account, open_account
from taskhub.client import TaskHubClient
from taskhub.instances import InstanceStatus

Replacement = Callable[[Any], Any] | Any
LONGEST = timedelta(days=3650)
SDK_REMARKS = ("azure.functions df_loads was called", "Potential duplicate Task completion")
VISIBILITY = timedelta(days=7)  # the longest there is: nobody renews here


@dataclass(frozen=True)
class Event:
    """An external event that the test raises some time after the start."""

    delay: timedelta
    name: str
    data: Any = None


def after(delay: timedelta, name: str, data: Any = None) -> Event:
    """An external event `delay` after the start."""
    return Event(delay, name, data)


@dataclass
class Run:
    """What became of an orchestration."""

    instance_id: str
    status: str
    output: Any
    custom_status: Any
    calls: list[tuple[str, Any]]  # activities in the order they ran, with their inputs
    took: timedelta  # virtual time from start to end

    @property
    def names(self) -> list[str]:
        """The names of the activities that ran, in order."""
        return [name for name, _ in self.calls]


class ReplacedActivities:
    """A worker whose activities a test may replace by name; everything else is the app's."""

    def __init__(self, worker: Worker, replacements: Mapping[str, Replacement]) -> None:
        self._worker = worker
        self._replacements = {name.lower(): value for name, value in replacements.items()}
        self.calls: list[tuple[str, Any]] = []

    @property
    def functions(self) -> list[FunctionInfo]:
        return self._worker.functions

    async def http(self, function: str, request: HttpRequest, client_binding: str | None) -> HttpResponse:
        return await self._worker.http(function, request, client_binding)

    async def activity(self, function: str, input: str | None, instance_id: str, client_binding: str | None) -> str:
        given = None if input is None else json.loads(input)
        self.calls.append((function, given))
        if function.lower() not in self._replacements:
            return await self._worker.activity(function, input, instance_id, client_binding)
        replacement = self._replacements[function.lower()]
        try:
            value = replacement(given) if callable(replacement) else replacement
        except Exception as error:
            raise _as_of_the_worker(error) from error
        if isinstance(value, Exception):
            raise _as_of_the_worker(value)
        return json.dumps(value)

    async def entity(self, function: str, batch: str) -> str:
        return await self._worker.entity(function, batch)

    async def episode(self, call: EpisodeCall) -> EpisodeResult:
        return await self._worker.episode(call)

    async def trigger(self, function: str, data: dict[str, Any], client_binding: str | None) -> dict[str, Any]:
        return await self._worker.trigger(function, data, client_binding)

    def forget(self, instance_id: str) -> None:
        self._worker.forget(instance_id)

    async def close(self) -> None:
        await self._worker.close()


def _as_of_the_worker(error: Exception) -> InvocationFailed:
    """As the worker reports an exception; what is the worker's own already stays what it is."""
    return error if isinstance(error, InvocationFailed) else InvocationFailed(f"{type(error).__name__}: {error}")


async def _no_http(_: str) -> str:
    raise OSError("the test kit makes no HTTP calls")


@dataclass
class AppHost:
    """An app, loaded once, whose orchestrations run one after the other, each on a hub of its own."""

    app: Path | str
    environment: Mapping[str, str] = field(default_factory=dict)
    durable: DurableSettings = DurableSettings(
        hub="TestKit", partition_count=1, control_queue_visibility=VISIBILITY, work_item_queue_visibility=VISIBILITY
    )

    def __post_init__(self) -> None:
        self._worker = LocalWorker(Path(self.app), self.environment)

    def run(
        self,
        orchestrator: str,
        input: Any = None,
        events: Sequence[Event] = (),
        instance_id: str | None = None,
        longest: timedelta = LONGEST,
        **activities: Replacement,
    ) -> Run:
        """Starts an orchestration and returns when it has ended, or `longest` of virtual time has passed.

        `activities` replace the app's own by name: a value is the result, a callable gets the input, an exception
        fails the activity.
        """
        replaced = ReplacedActivities(self._worker, activities)

        async def main(clock: VirtualClock) -> Run:
            account = await open_account(":memory:", clock)
            functions = FunctionIndex(replaced.functions)
            engine = Engine(
                account,
                self.durable,
                replaced,
                functions,
                clock,
                Identity("test kit"),
                30,
                lambda _: None,
                _no_http,
                alone=True,
            )
            await engine.start()
            try:
                return await self._play(engine, clock, account, orchestrator, input, events, instance_id, longest,
                                        replaced)  # fmt: skip
            finally:
                await engine.stop()
                await account.close()

        with warnings.catch_warnings():
            for remark in SDK_REMARKS:  # where warnings are errors, the SDK's remarks would fail the orchestrator
                warnings.filterwarnings("ignore", message=remark)
            return run(main)

    async def _play(
        self, engine: Engine, clock: VirtualClock, account: Account, orchestrator: str, input: Any,
        events: Sequence[Event], instance_id: str | None, longest: timedelta, replaced: ReplacedActivities,
    ) -> Run:  # fmt: skip
        client, begin = TaskHubClient(engine.hub), clock.now()
        text = None if input is None else json.dumps(json.dumps(input))
        started = await client.start(orchestrator, instance_id, text)
        raising = [asyncio.create_task(self._raise(client, started, event)) for event in events]
        status = await self._ended(client, started, longest)
        for task in raising:
            task.cancel()
        end = status.completed or clock.now()
        return Run(
            started, status.runtime_status, _value(status.output), _value(status.custom_status), replaced.calls,
            end - begin,
        )  # fmt: skip

    @staticmethod
    async def _raise(client: TaskHubClient, instance_id: str, event: Event) -> None:
        await asyncio.sleep(event.delay.total_seconds())
        await client.raise_event(instance_id, event.name, json.dumps(event.data))

    @staticmethod
    async def _ended(client: TaskHubClient, instance_id: str, longest: timedelta) -> InstanceStatus:
        pause, waited = 0.05, 0.0
        while True:
            status = await client.status(instance_id)
            if status is not None and (status.is_terminal or waited > longest.total_seconds()):
                return status
            await asyncio.sleep(pause)
            waited += pause
            pause = min(pause * 1.3, 3600.0)


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
