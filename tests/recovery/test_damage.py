"""Whatever rows and messages hold, doctor and reconciler come to an end and count every instance."""

from __future__ import annotations

import json
import random
from datetime import datetime, timezone

import pytest

from recovery.examination import Doctor
from recovery.journal import Journal
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords
from recovery.replay import load_app
from taskhub.accounts import Write, open_account
from taskhub.clock import ManualClock
from taskhub.hub import TaskHub
from taskhub.messages import from_text, to_text
from tests.recovery import cuts, standby

ODD = [
    "", "zzz", "x" * 300, "{", "[]", "null", "-1", 5, True, 2.5, "2026-99-99T00:00:00Z", '{"id":5}',
    '{"id":"a","op":5}', "http://x/goldenhub-largemessages/a", "nonsense/blob.json.gz", "\x00", "é\ud800",
    datetime(1, 1, 1, tzinfo=timezone.utc), datetime(9999, 1, 1, tzinfo=timezone.utc),
]  # fmt: skip


@pytest.fixture(scope="module")
def app():
    return load_app(standby.GOLDEN)


async def damage_row(hub, rng):
    table = rng.choice([hub.names.instances, hub.names.history, hub.names.history])
    rows = [row.entity async for row in hub.account.tables.rows(table)]
    if not rows:
        return
    row = dict(rng.choice(rows))
    column = rng.choice([name for name in row if name != "PartitionKey"])
    row[column] = rng.choice(["zzz", "-1", "{"] if column == "RowKey" else ODD)
    await hub.account.tables.write(table, Write("upsert", row))


async def damage_message(hub, rng):
    queue = rng.choice([cuts.CONTROL, cuts.WORK])
    messages = await hub.account.queues.peek(queue)
    data = from_text(rng.choice(messages).text) if messages else {"TaskMessage": {}}
    place = data
    while inner := [name for name, value in place.items() if isinstance(value, dict) and value]:
        if place is not data and rng.random() < 0.3:
            break
        place = place[rng.choice(inner)]
    if place:
        place[rng.choice(list(place))] = rng.choice([*ODD[:14], {}, []])
    await hub.account.queues.put(queue, to_text(json.dumps(data, default=str).encode(), "base64"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [262, 1127, *range(60)])
async def test_a_damaged_hub_is_examined_repaired_and_reconciled_to_the_end(seed, app, tmp_path):
    rng = random.Random(seed)
    account = await open_account(":memory:", clock := ManualClock(cuts.NOW))
    try:
        hub = TaskHub(account, cuts.settings(), clock)
        cut = rng.choice(cuts.cuts())
        await cuts.pour(cut, hub)
        for _ in range(rng.randint(1, 3)):
            await rng.choice([damage_row, damage_row, damage_message])(hub, rng)
        doctor = Doctor(hub, app.replay if rng.random() < 0.7 else None)
        found = await doctor.examine()
        assert found.instances >= len(cut.rows.keys() | cut.histories.keys())
        repaired = await doctor.repair(found)
        assert repaired.is_clean == (not repaired.left and not repaired.second_look.unaddressed)
        journal = Journal(DirectoryRecords(tmp_path))
        for instance_id in cut.ids:
            await journal.accept_start(instance_id, "shop", {})
        result = await Reconciler(hub, journal).run(apply=True)
        assert sum(result.counts.values()) == len(cut.ids)
    finally:
        await account.close()
