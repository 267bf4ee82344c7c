"""What the tests of triggers share: an account in memory, virtual time, and a worker that notes what it has to run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from lab import virtual_time
from lab.triggers import TriggerContext
from lab.triggers.context import Listener
from lab.virtual_time import VirtualClock
from lab.worker import FunctionInfo, InvocationFailed, Worker
from taskhub.accounts import Account, open_account
from taskhub.clock import Clock

Act = Callable[[dict[str, Any]], Awaitable[None]]
FAILED = InvocationFailed("ValueError: no")


@dataclass
class Call:
    """One run of a function."""

    function: str
    data: dict[str, Any]
    moment: datetime


@dataclass
class Notes:
    """A worker that notes its calls; `act` is what each call does."""

    clock: Clock
    act: Act | None = None
    calls: list[Call] = field(default_factory=list)
    functions: list[FunctionInfo] = field(default_factory=list)

    async def trigger(self, function: str, data: dict[str, Any], client_binding: str | None) -> dict[str, Any]:
        self.calls.append(Call(function, data, self.clock.now()))
        if self.act is not None:
            await self.act(data)
        return {}

    @property
    def texts(self) -> list[str]:
        return [call.data["value"] for call in self.calls]


@dataclass
class World:
    """An account, the time, and what happened."""

    account: Account
    clock: Clock
    notes: Notes
    context: TriggerContext

    def host(self, **changes: Any) -> TriggerContext:
        """Another host of the same app."""
        return replace(self.context, **changes)

    async def poison(self, queue: str) -> list[str]:
        return [message.text for message in await self.account.queues.peek(f"{queue}-poison")]


def play(main: Callable[[World], Coroutine[Any, Any, Any]], **changes: Any) -> Any:
    """Plays a scene in virtual time on an account in memory."""

    async def scene(clock: VirtualClock) -> Any:
        account = await open_account(":memory:", clock)
        try:
            return await main(world(account, clock, **changes))
        finally:
            await account.close()

    return virtual_time.run(scene)


def world(account: Account, clock: Clock, **changes: Any) -> World:
    notes = Notes(clock)
    context = TriggerContext(account, clock, cast(Worker, notes), lambda _: None)
    return World(account, clock, notes, replace(context, **changes))


async def listen(listeners: Sequence[Listener], duration: timedelta) -> None:
    """Lets hosts listen for a while, and stops them as a host does."""
    tasks = [asyncio.create_task(listener.run()) for listener in listeners]
    await asyncio.sleep(duration.total_seconds())
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    await asyncio.gather(*(listener.finish(1.0) for listener in listeners))


def function(trigger: str, name: str = "work", **settings: Any) -> FunctionInfo:
    """A function with one binding, its trigger."""
    return FunctionInfo(name, trigger, [{"type": trigger, "name": "it", "direction": "IN", **settings}])
