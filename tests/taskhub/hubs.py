"""What the tests of a hub's client share: hubs with instances, a look at their messages, and services that fail."""

from __future__ import annotations

from typing import Any

from taskhub import messages
from taskhub.accounts import Account, Entity
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage
from tests.taskhub import golden

QUEUE = "goldenhub-control-00"


async def open_recorded(account: Account, name: str, clock: ManualClock) -> TaskHubClient:
    return TaskHubClient(TaskHub(account, await golden.load(account, name), clock))


async def envelopes(hub: TaskHub, queue: str = QUEUE) -> list[dict[str, Any]]:
    return [messages.from_text(message.text) for message in await hub.account.queues.peek(queue)]


async def queued(hub: TaskHub) -> list[TaskMessage]:
    return [await hub.read(message) for message in await hub.account.queues.peek(QUEUE)]


async def row_of(hub: TaskHub, instance_id: str) -> Entity:
    row = await hub.read_row(instance_id)
    assert row is not None
    return row.entity


async def instance(hub: TaskHub, instance_id: str, status: str, **columns: Any) -> None:
    """An instance as its row tells of it."""
    moment = hub.clock.now()
    await hub.merge_row(
        instance_id,
        {"RuntimeStatus": status, "Name": "Shop", "CreatedTime": moment, "LastUpdatedTime": moment, **columns},
    )


class Broken:
    """A service of which one operation fails, as when the account is lost at that moment."""

    def __init__(self, service: Any, operation: str) -> None:
        self._service = service
        self._operation = operation

    def __getattr__(self, name: str) -> Any:
        if name == self._operation:
            return self._fail
        return getattr(self._service, name)

    async def _fail(self, *_arguments: Any) -> Any:
        raise AccountUnreachable("the account is gone")


class Meanwhile:
    """A queue service behind whose back something happens while a message is put."""

    def __init__(self, service: Any, happening: Any) -> None:
        self._service = service
        self._happening = happening

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def put(self, *arguments: Any) -> Any:
        await self._happening()
        return await self._service.put(*arguments)
