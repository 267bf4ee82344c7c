"""What is noted of looks at a hub whose invisible messages cannot be read, in its container `{hub}-recovery`.

A message is invisible because its time has not come (a timer, a delayed start), because somebody has it in hand, or
because it was put back for a while. Only the first kind stays so: once no host has worked for `HIDDEN_AT_MOST`, what
is still invisible is of the first kind, and nothing else can hide among it. So it is noted since when no host was
seen, and by what a host would be noticed that came and went in between; which timers the doctor has sent itself; and
when messages were received only to be looked at, because each time counts as a dequeue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from recovery.passes import container_of
from taskhub import messages as m
from taskhub.accounts import Query
from taskhub.errors import AccountError, NotFound
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage

HIDDEN_AT_MOST = timedelta(minutes=10)  # how long the engine puts a message back, longer than it keeps one in hand
SENT_IS_THERE = timedelta(hours=1)  # how long a noted timer counts as there: a later failover may lose it again
NOTE_IS_GOOD = timedelta(hours=6)  # an older one may be that of the lost region, copied without what came after it
SWEEPS_KEPT = 1000
TIMERS_AT_ONCE = 500
START = -1  # in the place of a timer's number: the delayed start of the instance
_NOTE = "looks.json"
_TIMERS = "timers/"


@dataclass(frozen=True)
class Looks:
    """Since when no host was seen, what the hub's leases looked like, and the sweeps that received messages."""

    quiet_since: datetime | None = None
    hosts: str = ""
    is_under_way: bool = False  # a sweep has messages in hand, or was cut short with them
    sweeps: tuple[datetime, ...] = ()

    def settled_at(self) -> datetime | None:
        """From when on nothing can be in anybody's hand; None while a host works."""
        return None if self.quiet_since is None else self.quiet_since + HIDDEN_AT_MOST

    def received_since(self, moment: datetime) -> int:
        """How often a message of this age was received by looks alone."""
        return sum(sweep >= moment for sweep in self.sweeps)


@dataclass(frozen=True)
class SentTimer:
    """A timer (or delayed start) that the doctor has sent, so that its message is known to be there."""

    instance_id: str
    execution: str
    number: int  # START for a delayed start
    queue: str
    due: datetime


async def looks_so_far(hub: TaskHub, leases: Sequence[str]) -> Looks:
    """What is noted, brought up to now: whoever works on the hub, or did since, begins the time anew."""
    noted, hosts, now = await _read(hub), await _hosts(hub), hub.clock.now()
    if leases:
        return replace(noted, quiet_since=None, hosts=hosts)
    is_good = noted.quiet_since is not None and now - NOTE_IS_GOOD < noted.quiet_since <= now
    if not is_good or noted.is_under_way or noted.hosts != hosts:
        return replace(noted, quiet_since=now, hosts=hosts, is_under_way=False)
    return noted


async def note_looks(hub: TaskHub, looks: Looks) -> None:
    """Notes it. Where that is not allowed nothing is noted, and every look counts as the first."""
    record = {
        "quietSince": looks.quiet_since and looks.quiet_since.isoformat(), "hosts": looks.hosts,
        "underWay": looks.is_under_way, "sweeps": [sweep.isoformat() for sweep in looks.sweeps[-SWEEPS_KEPT:]],
    }  # fmt: skip
    with suppress(AccountError):
        await _put(hub, _NOTE, record)


def timer_of(task: TaskMessage, due: datetime, hub: TaskHub) -> SentTimer | None:
    """The timer or delayed start that a message is whose time has not come; None for any other."""
    if due <= hub.clock.now() or task.kind not in (m.TIMER_FIRED, m.EXECUTION_STARTED):
        return None
    number = int(task.event["TimerId"]) if task.kind == m.TIMER_FIRED else START
    queue = hub.names.control_queue(task.instance_id)
    return SentTimer(task.instance_id, str(task.execution_id), number, queue, due)


async def note_timers(hub: TaskHub, sent: Sequence[SentTimer]) -> None:
    """Notes timers after they were sent; where that is not allowed they are sent again by the next repair."""
    timers = [[x.instance_id, x.execution, x.number, x.queue, x.due.isoformat()] for x in sent]
    if timers:
        text = json.dumps(timers)
        name = f"{_TIMERS}{hub.clock.now():%Y%m%d-%H%M%S}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
        with suppress(AccountError):
            await _put(hub, name, {"time": hub.clock.now().isoformat(), "timers": timers})


async def timers_sent(hub: TaskHub) -> AsyncIterator[SentTimer]:
    """The timers that the doctor has sent lately and whose time has not come; some may come twice."""
    now = hub.clock.now()
    with suppress(AccountError):
        async for blob in hub.account.blobs.list(container_of(hub), _TIMERS):
            for timer in await _timers(hub, blob.name, now - SENT_IS_THERE):
                if timer.due > now:
                    yield timer


async def _timers(hub: TaskHub, name: str, oldest: datetime) -> list[SentTimer]:
    try:
        record = json.loads(await hub.account.blobs.get(container_of(hub), name))
        if datetime.fromisoformat(record["time"]) < oldest:
            return []
        return [SentTimer(x[0], x[1], int(x[2]), x[3], datetime.fromisoformat(x[4])) for x in record["timers"]]
    except (NotFound, ValueError, LookupError, TypeError):
        return []


async def _read(hub: TaskHub) -> Looks:
    """What is noted; a note that cannot be read counts as none."""
    try:
        found = json.loads(await hub.account.blobs.get(container_of(hub), _NOTE))
        quiet = found["quietSince"] and datetime.fromisoformat(found["quietSince"])
        sweeps = tuple(datetime.fromisoformat(sweep) for sweep in found["sweeps"])
        return Looks(quiet, str(found["hosts"]), bool(found["underWay"]), sweeps)
    except (AccountError, ValueError, LookupError, TypeError):
        return Looks()


async def _hosts(hub: TaskHub) -> str:
    """What every host changes that begins to work: it writes its name into the leases that it takes."""
    seen = []
    with suppress(NotFound):
        seen += [f"{blob.name} {blob.etag}" async for blob in hub.account.blobs.list(hub.names.leases)]
    with suppress(NotFound):
        async for row in hub.account.tables.rows(f"{hub.names.hub}Partitions", Query()):
            seen.append(f"{row.entity['RowKey']} {row.etag}")
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


async def _put(hub: TaskHub, name: str, record: dict[str, Any]) -> None:
    await hub.account.blobs.create(container_of(hub))
    await hub.account.blobs.put(container_of(hub), name, json.dumps(record).encode())
