"""Of several repairs without a comparison between them the first counts, and after a repair the first comparison."""

from __future__ import annotations

from datetime import timedelta

from recovery.examination import Doctor
from recovery.journal import Journal
from recovery.passes import Passes, container_of, note, passes_of
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords
from tests.recovery.test_snapshot import empty_hub


async def test_the_first_repair_and_the_first_comparison_after_it_count():
    async with empty_hub() as hub:
        noted = []
        for which in ("reconciled", "repaired", "repaired", "reconciled", "reconciled", "repaired"):
            hub.clock.advance(timedelta(minutes=1))
            await note(hub, which)
            noted.append((await passes_of(hub), hub.clock.now()))
        assert noted[0][0] == Passes()
        assert noted[1][0] == noted[2][0] == Passes(noted[1][1])
        assert noted[3][0] == noted[4][0] == Passes(noted[1][1], noted[3][1])
        assert noted[5][0] == Passes(noted[5][1], noted[3][1]) and not noted[5][0].is_compared


async def test_a_note_that_cannot_be_read_counts_as_none():
    async with empty_hub() as hub:
        await note(hub, "repaired")
        await hub.account.blobs.put(container_of(hub), "repaired.json", b"{")
        assert await passes_of(hub) == Passes()


async def test_doctor_and_reconciler_note_their_passes_and_a_look_alone_notes_nothing(tmp_path):
    async with empty_hub() as hub:
        journal = Journal(DirectoryRecords(tmp_path))
        await journal.accept_start("a", "waiter", None)
        doctor, reconciler = Doctor(hub), Reconciler(hub, journal)
        found = await doctor.examine()
        await reconciler.run(apply=False)
        assert await passes_of(hub) == Passes()
        await doctor.repair(found)
        await reconciler.run(apply=False)
        assert not (await passes_of(hub)).is_compared
        await reconciler.run(apply=True)
        assert (await passes_of(hub)).is_compared
