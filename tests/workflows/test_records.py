"""Starts, events and signals are on record before the hub gets them, and refused where the region is fenced."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from recovery import fence, journal
from recovery.records import DirectoryRecords
from tests.workflows.driver import World
from tests.workflows.endpoints import call
from workflows import records
from workflows.responses import HubUnavailable


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("JOURNAL_STORAGE", str(tmp_path))
    monkeypatch.setenv("FENCE_REGION", "westeurope")
    journal.current.cache_clear()
    fence.current.cache_clear()
    yield tmp_path
    journal.current.cache_clear()
    fence.current.cache_clear()


def open_entries(place: Path) -> list[str]:
    opened = journal.Journal(DirectoryRecords(place))
    return [entry.kind for instance_id in opened.instance_ids() for entry in opened.entries(instance_id)]


def test_a_request_is_on_record_when_the_hub_gets_it(place: Path) -> None:
    async def main() -> None:
        entry = await records.start("a", "order", {"n": 1})

        async def hub() -> list[str]:
            return open_entries(place)

        assert await records.handed_over(entry, hub()) == ["start"]

    asyncio.run(main())


def test_what_the_hub_refuses_is_taken_off_the_record(place: Path) -> None:
    async def main() -> None:
        entry = await records.event("a", "decision", True)

        async def hub() -> None:
            raise LookupError("no such instance")

        with pytest.raises(LookupError):
            await records.handed_over(entry, hub())

    asyncio.run(main())
    assert open_entries(place) == []


def test_a_region_that_was_failed_away_from_refuses_and_names_the_other(place: Path) -> None:
    fence.take_over(DirectoryRecords(place), "northeurope", "https://north.example")
    with pytest.raises(HubUnavailable) as refused:
        asyncio.run(records.signal("@stock@tea", "add", 1))
    assert refused.value.more == {"address": "https://north.example"}
    assert open_entries(place) == []


def test_without_settings_nothing_is_kept_and_nothing_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOURNAL_STORAGE", "FENCE_REGION"):
        monkeypatch.delenv(name, raising=False)
    journal.current.cache_clear()
    fence.current.cache_clear()
    assert asyncio.run(records.start("a", "order", None)) is None


def test_a_setting_of_the_journal_that_cannot_be_used_is_named_and_nothing_is_started(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FENCE_REGION")
    monkeypatch.setenv("JOURNAL_WHEN_DOWN", "banana")
    fence.current.cache_clear()
    world = World()
    for asked in (call(world, "health"), call(world, "start_workflow", None, route={"name": "hello_cities"})):
        assert asked.status == 503
        assert asked.body["message"] == "The setting JOURNAL_WHEN_DOWN is 'banana'; it must be refuse or accept."
    assert open_entries(place) == []


def test_the_health_page_says_whether_requests_are_on_record(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FENCE_REGION")
    fence.current.cache_clear()
    asyncio.run(records.start("a", "order", {"n": 1}))
    page = call(World(), "health").body
    assert (page["status"], page["journal"], page["whenDown"], page["written"]) == ("ok", "on", "refuse", 1)
    monkeypatch.delenv("JOURNAL_STORAGE")
    journal.current.cache_clear()
    assert call(World(), "health").body == {"status": "ok", "journal": "off"}
