"""A region that was failed away from stops by itself, also when it comes back and nobody answers."""

from __future__ import annotations

import json

import pytest

from recovery.fence import (
    HISTORY,
    RECORD,
    Epoch,
    Fence,
    Fenced,
    NoFence,
    RecordDamaged,
    history,
    open_fence,
    read,
    take_over,
)
from recovery.records import DirectoryRecords, RecordChanged, RecordsUnreachable

WEST, NORTH = "westeurope", "northeurope"


class Ticks:
    """Seconds that a test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Failing:
    """Records that can be switched off, and count how often they are read."""

    def __init__(self, records):
        self._records, self.description = records, records.description
        self.down = False
        self.reads = 0

    def get(self, name):
        self.reads += 1
        if self.down:
            raise RecordsUnreachable("the journal does not answer: timeout")
        return self._records.get(name)

    def put(self, *arguments, **options):
        return self._records.put(*arguments, **options)

    def names(self, prefix=""):
        return self._records.names(prefix)


@pytest.fixture
def records(tmp_path):
    return Failing(DirectoryRecords(tmp_path))


@pytest.fixture
def ticks():
    return Ticks()


def fence(records, ticks, region, **options):
    return Fence(records, region, now=ticks, **options)


def test_without_a_record_every_region_may_work(records, ticks):
    assert fence(records, ticks, WEST).permit().allowed


def test_after_a_takeover_only_the_new_region_works_and_the_old_one_says_where(records, ticks):
    take_over(records, WEST, "https://west.example")
    take_over(records, NORTH, "https://north.example", by="operator")
    assert fence(records, ticks, NORTH).permit().allowed
    with pytest.raises(Fenced, match="The work is done in northeurope since .* \\(epoch 2\\)") as error:
        fence(records, ticks, WEST).check()
    assert error.value.address == "https://north.example"


def test_a_running_region_stops_within_the_cache_seconds(records, ticks):
    west = fence(records, ticks, WEST, cache_seconds=5)
    take_over(records, WEST)
    assert west.permit().allowed
    take_over(records, NORTH)
    ticks.now = 4.9
    assert west.permit().allowed
    ticks.now = 5.0
    assert not west.permit().allowed


def test_asking_often_reads_rarely(records, ticks):
    west = fence(records, ticks, WEST, cache_seconds=5)
    for _ in range(1000):
        west.permit()
        ticks.now += 0.01
    assert records.reads == 2


def test_a_fenced_region_stays_fenced_while_the_record_cannot_be_read(records, ticks):
    take_over(records, NORTH)
    west = fence(records, ticks, WEST, when_unreadable="work")
    assert not west.permit().allowed
    records.down = True
    ticks.now = 100
    assert not west.permit().allowed


def test_the_working_region_goes_on_while_the_record_cannot_be_read(records, ticks):
    take_over(records, WEST)
    west = fence(records, ticks, WEST, when_unreadable="stop")
    assert west.permit().allowed
    records.down = True
    ticks.now = 100
    assert west.permit().allowed


@pytest.mark.parametrize(("setting", "allowed"), [("work", True), ("stop", False)])
def test_a_region_that_has_never_read_the_record_does_what_the_setting_says(records, ticks, setting, allowed):
    records.down = True
    west = fence(records, ticks, WEST, when_unreadable=setting)
    assert west.permit().allowed is allowed
    assert west.permit().allowed is allowed  # from the cache too


def test_a_record_that_makes_no_sense_counts_as_unreadable(records, ticks):
    records.put(f"app/{RECORD}", b'{"colour": "red"}')
    permit = fence(records, ticks, WEST, when_unreadable="stop").permit()
    assert not permit.allowed and "makes no sense" in permit.reason


def test_taking_over_again_changes_nothing(records):
    first = take_over(records, WEST, "https://west.example")
    assert take_over(records, "WestEurope", "https://west.example") == first


def test_of_two_takeovers_at_once_one_is_told(records, monkeypatch):
    take_over(records, WEST)
    data, version = records.get(f"app/{RECORD}")
    records.put(f"app/{RECORD}", json.dumps({**json.loads(data), "region": NORTH, "number": 2}).encode())
    monkeypatch.setattr(records, "get", lambda name: (data, version))
    with pytest.raises(RecordChanged):
        take_over(records, "swedencentral")


def test_the_settings_switch_the_fence_on_and_off(tmp_path):
    assert isinstance(open_fence({}), NoFence) and open_fence({}).permit().allowed
    assert isinstance(open_fence({"FENCE_REGION": WEST}), NoFence)  # there is no journal's account
    made = open_fence({"FENCE_REGION": WEST, "JOURNAL_STORAGE": str(tmp_path), "FENCE_WHEN_UNREADABLE": "stop",
                       "FENCE_CACHE_SECONDS": "2"})  # fmt: skip
    assert (made.region, made.when_unreadable, made.cache_seconds) == (WEST, "stop", 2.0)
    with pytest.raises(ValueError, match="FENCE_WHEN_UNREADABLE is 'perhaps'"):
        open_fence({"FENCE_REGION": WEST, "JOURNAL_STORAGE": str(tmp_path), "FENCE_WHEN_UNREADABLE": "perhaps"})


def test_while_somebody_reads_the_others_go_by_the_last_answer(records, ticks):
    """An account that takes its time to fail holds up one caller, not every activity of the region."""
    take_over(records, WEST)
    west = fence(records, ticks, WEST, cache_seconds=5)
    assert west.known() is None  # the first answer is waited for
    west.permit()
    ticks.now = 5.0
    assert west.known() is None
    seen = []
    answered, records.get = records.get, lambda name: seen.append((west.permit(), west.known())) or answered(name)
    assert west.permit().allowed
    assert [(one.allowed, other.allowed) for one, other in seen] == [(True, True)]
    assert west.known().allowed


def test_a_reader_that_failed_lets_the_next_one_read(records, ticks):
    west = fence(records, ticks, WEST, cache_seconds=0, when_unreadable="stop")
    records.down = True
    assert not west.permit().allowed
    records.down = False
    assert west.permit().allowed


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "301"])
def test_cache_seconds_that_are_none_are_refused_by_the_settings_name(tmp_path, text):
    with pytest.raises(ValueError, match="FENCE_CACHE_SECONDS is .* a number from 0 to 300"):
        open_fence({"FENCE_REGION": WEST, "JOURNAL_STORAGE": str(tmp_path), "FENCE_CACHE_SECONDS": text})


def test_a_region_is_the_same_however_it_is_spelt(records, ticks):
    take_over(records, "North Europe")
    assert fence(records, ticks, NORTH).permit().allowed
    assert not fence(records, ticks, WEST).permit().allowed
    assert take_over(records, NORTH).number == 1


# what the record says


SOUND = {"region": NORTH, "number": 3, "address": "", "since": "2026-01-02T03:04:05+00:00", "by": "kim"}


def put(records, content, version=None):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return records.put(f"app/{RECORD}", data, version=version)


def test_what_a_later_version_adds_to_the_record_does_not_make_it_unreadable(records, ticks):
    put(records, {**SOUND, "colour": "red"})
    assert read(records, f"app/{RECORD}")[0] == Epoch(**SOUND)
    assert not fence(records, ticks, WEST).permit().allowed


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "Expecting value"), (b"[1]", "no JSON object"), (b"\x80{}", "codec"), (b"[" * 100_000, ""),
     ({**SOUND, "region": ""}, "names no region"), ({**SOUND, "region": None}, "region is None"),
     ({**SOUND, "number": "3"}, "number is '3'"), ({**SOUND, "number": True}, "number is True"),
     ({**SOUND, "number": 0}, "number is 0"), ({**SOUND, "since": 5}, "since is 5")],
    ids=lambda one: str(one)[:30],
)  # fmt: skip
def test_a_record_that_makes_no_sense_is_told_from_one_that_is_out_of_reach(records, ticks, content, why):
    put(records, content)
    with pytest.raises(RecordDamaged, match=f"app/{RECORD} in .* makes no sense: .*{why}"):
        read(records, f"app/{RECORD}")
    assert not fence(records, ticks, NORTH, when_unreadable="stop").permit().allowed
    assert fence(records, ticks, NORTH, when_unreadable="work").permit().allowed


def test_a_damaged_record_is_left_alone_unless_it_is_to_be_replaced(records):
    put(records, json.dumps(SOUND).encode()[:40])
    with pytest.raises(RecordDamaged) as damage:
        take_over(records, WEST)
    assert damage.value.parts == {"region": NORTH, "number": "3"}
    assert records.get(f"app/{RECORD}")[0] == json.dumps(SOUND).encode()[:40]
    assert take_over(records, WEST, replace_damaged=True).number == 4
    assert read(records, f"app/{RECORD}")[0].region == WEST


def test_the_number_of_what_replaces_a_damaged_record_is_greater_than_every_one_on_record(records):
    for region in (WEST, NORTH, WEST):
        take_over(records, region)
    put(records, b"}")
    assert take_over(records, NORTH, replace_damaged=True).number == 4
    records._records.delete(f"app/{RECORD}")
    assert take_over(records, WEST).number == 5


def test_a_damaged_record_that_somebody_else_mends_meanwhile_is_not_replaced(records, monkeypatch):
    put(records, b"}")
    seen = records.get(f"app/{RECORD}")
    take_over(records, NORTH, replace_damaged=True)
    monkeypatch.setattr(records, "get", lambda name: seen)
    with pytest.raises(RecordChanged):
        take_over(records, WEST, replace_damaged=True)
    monkeypatch.undo()
    assert read(records, f"app/{RECORD}")[0].region == NORTH


def test_every_takeover_stays_on_record(records):
    for region, by in ((WEST, "ann"), (NORTH, "ben"), (NORTH, "ben"), (WEST, "ann")):
        take_over(records, region, by=by)
    records.put(f"app/{HISTORY}/000002.json", b"}")  # one that is damaged hides no other
    assert [(one.number, one.region, one.by) for one in history(records)] == [(1, WEST, "ann"), (3, WEST, "ann")]


def test_a_takeover_counts_although_it_could_not_be_noted(records, monkeypatch):
    write = records.put

    def put(name, *arguments, **options):
        if f"/{HISTORY}/" in name:
            raise RecordsUnreachable("timeout")
        return write(name, *arguments, **options)

    monkeypatch.setattr(records, "put", put)
    assert take_over(records, WEST).number == 1
    assert read(records, f"app/{RECORD}")[0].region == WEST and history(records) == []
