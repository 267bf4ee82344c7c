"""What stands around a simulated failover: the journal's account, processes that die, and what entities did."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.engine import Engine
from lab.entities import Entities
from recovery.records import RecordChanged
from taskhub.accounts.embedded import EmbeddedAccount


@contextmanager
def ids_of(seed: int) -> Iterator[None]:
    """New ids are drawn from a seed, for the ids of children decide how far their rows lag."""
    original, rng = uuid.uuid4, random.Random(seed)
    uuid.uuid4 = lambda: uuid.UUID(int=rng.getrandbits(128), version=4)
    try:
        yield
    finally:
        uuid.uuid4 = original


class MemoryRecords:
    """The journal's account, which outlives the region: records in memory."""

    description = "memory"

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, str]] = {}
        self._version = 0

    def put(self, name: str, data: bytes, version: str | None = None, only_new: bool = False) -> str:
        found = self._kept.get(name)
        if (only_new and found is not None) or (version is not None and (found is None or found[1] != version)):
            raise RecordChanged(name)
        self._version += 1
        self._kept[name] = data, str(self._version)
        return str(self._version)

    def get(self, name: str) -> tuple[bytes, str] | None:
        return self._kept.get(name)

    def names(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(name for name in self._kept if name.startswith(prefix)))

    def delete(self, name: str) -> None:
        self._kept.pop(name, None)


class Killed(BaseException):
    """A recovery command's process dies."""


class _Counted:
    """One service of an account; the process dies when its writes are used up."""

    WRITES = frozenset({"write", "transact", "put", "update", "delete", "create"})

    def __init__(self, service: Any, left: list[int]) -> None:
        self._service = service
        self._left = left

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if name not in self.WRITES:
            return found

        async def counted(*args: Any, **named: Any) -> Any:
            if self._left[0] <= 0:
                raise Killed
            self._left[0] -= 1
            return await found(*args, **named)

        return counted


def dying_after(account: EmbeddedAccount, writes: int) -> EmbeddedAccount:
    """The account as a process sees it that is killed after so many writes."""
    left = [writes]
    return dataclasses.replace(
        account, tables=_Counted(account.tables, left), queues=_Counted(account.queues, left),
        blobs=_Counted(account.blobs, left),
    )  # fmt: skip


class Executions:
    """Which requests entities have executed: the ids of those that asked for a key, in all hosts and regions."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], set[str]] = defaultdict(set)

    def watch(self, engine: Engine) -> None:
        """Notes what this host's entities execute."""
        entities: Entities = engine.orchestrations.entities
        execute = entities._execute

        async def noted(entity_id: str, state: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
            # Two runs of an instance at one virtual moment give their requests the same id.
            self.ids[entity_id, key_of(request)].add(f"{request.get('id')} {request.get('parentExecution')}")
            return await execute(entity_id, state, request)

        entities._execute = noted  # type: ignore[method-assign]


def key_of(request: dict[str, Any]) -> str:
    """The key that a request to a ledger carries."""
    value: Any = request.get("input")
    while isinstance(value, str) and value.startswith('"'):
        value = json.loads(value)
    return str(value)


async def kill(engine: Engine) -> None:
    """Ends a host as a signal 9 does: nothing is finished, released or said."""
    tasks = [*engine._tasks, *engine._readers.values(), *engine.orchestrations._tasks, *engine.activities._running]
    engine._stopping = True
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
