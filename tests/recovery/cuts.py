"""The recorded failure cuts as instances and as task hubs: what the doctor's tests are measured against."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

from recovery.facts import Facts
from recovery.observed import Instance, Message
from taskhub import messages as m
from taskhub.accounts import Entity, Value, Write, open_account
from taskhub.clock import ManualClock
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import SENTINEL, escape_key

DATA = Path(__file__).resolve().parent.parent / "data" / "golden" / "cuts"
NOW = datetime(2026, 11, 21, 10, 30, tzinfo=timezone.utc)
HUB = "GoldenHub"
CONTROL, WORK = "goldenhub-control-00", "goldenhub-workitems"


@dataclass(frozen=True)
class Cut:
    """One recorded storage state of one or two instances, and what the engine did with it."""

    name: str
    title: str
    outcome: str
    rows: dict[str, Entity]
    histories: dict[str, list[Entity]]
    queued: tuple[tuple[str, int, dict[str, Any]], ...]  # queue, seconds until visible, envelope
    record: dict[str, Any]

    @property
    def ids(self) -> list[str]:
        """The instances that are in the state in any form."""
        named = {message["TaskMessage"]["OrchestrationInstance"]["InstanceId"] for _, _, message in self.queued}
        return sorted(named | set(self.rows) | set(self.histories))

    def after(self) -> dict[str, Any]:
        """What was there at the second look, without a repair."""
        found: dict[str, Any] = (self.record.get("withoutRepair") or {}).get("second") or {}
        return found


def entity(row: dict[str, Any]) -> Entity:
    """A row as the table service returns it, with its types."""
    result: dict[str, Value] = {}
    for name, value in row.items():
        if "odata" in name or name == "Timestamp":
            continue
        is_time = row.get(f"{name}@odata.type") == "Edm.DateTime"
        result[name] = m.parse_timestamp(value) if is_time else value
    return result


def load(name: str) -> str:
    """The text of one recorded file."""
    return gzip.decompress((DATA / f"{name}.gz").read_bytes()).decode()


@cache
def records() -> tuple[dict[str, Any], ...]:
    """What the engine was seen to do with each cut."""
    return tuple(json.loads(load("failure-cuts.json"))["cuts"])


@cache
def cuts() -> tuple[Cut, ...]:
    """The 74 recorded storage states."""
    known: dict[tuple[str, str], dict[str, Any]] = {(record["id"], record["title"]): record for record in records()}
    return tuple(_cut(json.loads(line), known) for line in load("cut-states.jsonl").splitlines())


def _cut(state: dict[str, Any], records: dict[tuple[str, str], dict[str, Any]]) -> Cut:
    histories: dict[str, list[Entity]] = defaultdict(list)
    for row in state["history"]:
        histories[row["PartitionKey"]].append(entity(row))
    queued = [
        (queue, int(item["visibleInSeconds"]), item["message"])
        for queue, items in ((CONTROL, state["control"]), (WORK, state["workitems"]))
        for item in items
    ]
    rows = {row["PartitionKey"]: entity(row) for row in state["instances"]}
    record = records.get((state["id"], state["title"]), {})
    return Cut(state["id"], state["title"], state["outcome"], rows, dict(histories), tuple(queued), record)


def instance(cut: Cut, instance_id: str) -> Instance:
    """One instance of a cut, without going through an account."""
    rows = cut.histories.get(escape_key(instance_id), [])
    sentinel = next((row for row in rows if row["RowKey"] == SENTINEL), None)
    everything = [_message(number, *queued) for number, queued in enumerate(cut.queued)]
    return Instance(
        instance_id,
        cut.rows.get(escape_key(instance_id)),
        tuple(row for row in rows if row["RowKey"] != SENTINEL),
        sentinel,
        tuple(x for x in everything if x.task and x.task.instance_id == instance_id),
        sent=tuple(
            x for x in everything
            if x.task and x.task.sender_instance == instance_id and x.task.instance_id != instance_id
        ),
    )  # fmt: skip


def _message(number: int, queue: str, delay: int, envelope: dict[str, Any]) -> Message:
    due = NOW + timedelta(seconds=delay)
    return Message(queue, str(number), json.dumps(envelope), "", 0, NOW, due, m.parse_envelope(envelope))


def facts(cut: Cut) -> dict[str, Facts]:
    """All instances of a cut with each other as relatives."""
    alone = {name: Facts(instance(cut, name), now=NOW) for name in cut.ids}
    return {name: replace(one, related={k: v for k, v in alone.items() if k != name}) for name, one in alone.items()}


@dataclass(frozen=True)
class PrefixState:
    """One of the 879 combinations: how many writes of each unit are there, and how the engine ended."""

    counts: tuple[int, int, int, int]  # control queue, work-item queue, history, row
    lag: int
    history: str  # none, open, completed
    path: str | None  # event, timeout
    row: str | None
    activity_runs: int
    cut: Cut


@cache
def prefix_states() -> tuple[PrefixState, ...]:
    """All combinations of per-unit prefixes of the recorded run."""
    log = json.loads(load("write-log.json"))["writes"]
    units = {unit: [write for write in log if write["unit"] == unit] for unit in ("Qp", "Qw", "H", "I")}
    return tuple(_prefix(row, units) for row in json.loads(load("prefix-cuts.json"))["rows"])


def _prefix(row: list[Any], units: dict[str, list[dict[str, Any]]]) -> PrefixState:
    qp, qw, h, i, lag, history, path, status, _, runs, _ = row
    rows: dict[str, Entity] = {}
    history_rows: dict[str, Entity] = {}
    for write in units["I"][:i]:
        for changed in write["changed"]:
            rows[changed["PartitionKey"]] = entity(changed)
    for write in units["H"][:h]:
        for changed in write["changed"]:
            history_rows[changed["RowKey"]] = entity(changed)
    queued = (*_queue(CONTROL, units["Qp"][:qp]), *_queue(WORK, units["Qw"][:qw]))
    histories = {"cut-0000": [history_rows[key] for key in sorted(history_rows)]} if history_rows else {}
    cut = Cut(f"{qp}-{qw}-{h}-{i}", "", history, rows, histories, queued, {})
    return PrefixState((qp, qw, h, i), lag, history, path, status, runs, cut)


def _queue(queue: str, writes: list[dict[str, Any]]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    present: dict[str, dict[str, Any]] = {}
    for write in writes:
        if write["op"] == "put":
            present[write["messageId"]] = write
        elif write["op"] == "delete":
            present.pop(write["messageId"], None)
    for write in present.values():
        yield queue, 75 if write["event"] == "TimerFiredEvent" else 0, write["message"]


@asynccontextmanager
async def hub_with(*names: str, place: object = ":memory:") -> AsyncIterator[TaskHub]:
    """A hub that holds some recorded cuts side by side, at the time at which they were cut."""
    clock = ManualClock(NOW)
    account = await open_account(str(place), clock)
    hub = TaskHub(account, settings(), clock)
    await hub.create()
    for name in names:
        await pour(next(cut for cut in cuts() if cut.name == name), hub)
    try:
        yield hub
    finally:
        await account.close()


async def pour(cut: Cut, hub: TaskHub, encoding: m.Encoding = "base64") -> None:
    """Writes a cut into a hub's account, byte for byte as the engine would have left it."""
    await hub.create()
    for row in cut.rows.values():
        await hub.account.tables.write(hub.names.instances, Write("upsert", row))
    for rows in cut.histories.values():
        for row in rows:
            await hub.account.tables.write(hub.names.history, Write("upsert", row))
    for queue, delay, envelope in cut.queued:
        text = m.to_text(m.to_json(envelope), encoding)
        await hub.account.queues.put(queue, text, timedelta(seconds=delay))


def settings() -> HubSettings:
    """The settings of the recorded hub."""
    return HubSettings(HUB, partition_count=1)
