"""The fence's command: who works, and a take-over that no slip of the hand turns into one that nobody reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from recovery.__main__ import main
from recovery.fence import RECORD, history, read, take_over
from recovery.journal import MARKER
from recovery.records import DirectoryRecords

WEST, NORTH = "westeurope", "northeurope"
Fence = Callable[..., tuple[int, str]]
SETTINGS = ("JOURNAL_STORAGE", "JOURNAL_STORAGE__accountName", "JOURNAL_HUB", "FENCE_REGION", "AZURE_ENV_NAME",
            "AZURE_SUBSCRIPTION_ID", "STORAGE_ACCOUNT_NAME")  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def records(place: Path) -> DirectoryRecords:
    return DirectoryRecords(place)


@pytest.fixture
def journal(records: DirectoryRecords) -> DirectoryRecords:
    """A journal in which an app has put something on record."""
    records.put(f"app/{MARKER}", b"{}")
    return records


@pytest.fixture
def fence(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fence:
    """Runs the command where there is no deployment; returns the exit code and everything it said."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(place.parent)

    def run(*arguments: str, at: str = str(place)) -> tuple[int, str]:
        try:
            code = main(["fence", *(["--journal", at] if at else []), *arguments])
        except SystemExit as end:
            code = int(str(end.code))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, fence: Fence) -> None:
    """The values of an azd environment, as in a pipeline."""
    values = {"AZURE_SUBSCRIPTION_ID": "s", "STORAGE_ACCOUNT_NAME": "st", "AZURE_PRIMARY_LOCATION": WEST,
              "AZURE_STANDBY_LOCATION": NORTH}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)


# showing


def test_the_command_shows_and_changes_which_region_works(fence: Fence, journal: DirectoryRecords) -> None:
    assert fence() == (0, "There is no fence: every region may work.\n")
    code, said = fence("--take-over", NORTH, "--first-use", "--by", "night shift")
    assert code == 0 and "northeurope works, as epoch 1" in said
    code, said = fence()
    assert code == 0 and "taken over by night shift" in said


def test_the_earlier_takeovers_are_shown_the_latest_first(fence: Fence, journal: DirectoryRecords) -> None:
    for region in (WEST, NORTH) * 4:
        take_over(journal, region)
    assert re.findall(r"(?m)^(before: )?(\w+) works since \S+ \(epoch (\d)", fence()[1]) == [
        ("", NORTH, "8"), ("before: ", WEST, "7"), ("before: ", NORTH, "6"), ("before: ", WEST, "5"),
        ("before: ", NORTH, "4"), ("before: ", WEST, "3"),
    ]  # fmt: skip


def test_without_a_journal_the_command_says_so(fence: Fence) -> None:
    code, said = fence(at="")
    assert code == 2 and "No journal is named" in said


def test_the_journals_hub_is_the_apps_setting(
    fence: Fence, records: DirectoryRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over(records, NORTH, hub="shop")
    monkeypatch.setenv("JOURNAL_HUB", "shop")
    assert fence()[0] == 0


# what nobody has used yet


@pytest.mark.parametrize("arguments", [(), ("--take-over", NORTH)], ids=["shown", "taken over"])
def test_a_directory_that_is_not_there_is_named_and_not_made(fence: Fence, place: Path, arguments: list[str]) -> None:
    code, said = fence(*arguments)
    assert code == 2 and f"There is no journal in {place}" in said
    assert not place.exists()


def test_a_directory_that_is_no_journal_stays_as_it_is(fence: Fence, place: Path) -> None:
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    code, said = fence("--take-over", NORTH)
    assert code == 2 and f"There is no journal in {place}" in said and "Nothing was written" in said
    assert [file.name for file in place.iterdir()] == ["notes.txt"]


def test_another_hubs_journal_is_no_place_for_a_fence_that_this_hub_reads(
    fence: Fence, journal: DirectoryRecords
) -> None:
    for arguments in ([], ["--take-over", NORTH]):
        code, said = fence("--journal-hub", "ap", *arguments)
        assert code == 2 and "has no hub 'ap'; it has app" in said
    assert list(journal.names("ap/")) == []


def test_a_first_use_is_confirmed_once_and_known_from_then_on(fence: Fence, records: DirectoryRecords) -> None:
    code, said = fence("--take-over", NORTH)
    assert code == 2 and "There is no journal" in said and "Nobody has used the region 'northeurope'" in said
    assert "the same command with --first-use" in said
    assert fence("--take-over", NORTH, "--first-use")[0] == 0
    assert fence("--take-over", WEST)[0] == 2
    assert fence("--take-over", WEST, "--first-use")[0] == 0
    assert fence("--take-over", "North Europe")[0] == 0  # by what was taken over before
    assert [one.region for one in history(records)] == [NORTH, WEST, "North Europe"]


def test_the_deployments_regions_are_known_and_others_are_named_with_them(
    deployment: None, fence: Fence, journal: DirectoryRecords
) -> None:
    code, said = fence("--take-over", "northeurop")
    assert code == 2 and "Nobody has used the region 'northeurop'; known is westeurope and northeurope" in said
    assert fence()[1].startswith("There is no fence")
    assert fence("--take-over", NORTH)[0] == 0


def test_the_region_of_this_app_is_known(
    fence: Fence, journal: DirectoryRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FENCE_REGION", "West Europe")
    assert fence("--take-over", WEST)[0] == 0
    assert fence("--take-over", NORTH)[0] == 2


@pytest.mark.parametrize("region", ["north-europe", "--by", "1", "north/../europe"])
def test_a_word_that_can_be_no_region_is_refused_whatever_is_confirmed(
    fence: Fence, journal: DirectoryRecords, region: str
) -> None:
    code, said = fence(f"--take-over={region}", "--first-use")
    assert code == 2 and "is not the name of a region" in said
    assert journal.get(f"app/{RECORD}") is None


# a damaged record


SOUND = json.dumps({"region": NORTH, "number": 2, "address": "https://n", "since": "2026-01-02", "by": "kim"}).encode()


def test_a_damaged_record_is_shown_as_damaged_with_what_is_left_of_it(fence: Fence, journal: DirectoryRecords) -> None:
    take_over(journal, WEST)
    take_over(journal, NORTH, by="kim")
    journal.put(f"app/{RECORD}", SOUND[:-20])
    for arguments in ([], ["--take-over", WEST]):
        code, said = fence(*arguments)
        assert code == 1 and "the fence's record app/fence.json" in said and "makes no sense" in said
        assert "What can be made out of it: region northeurope, number 2, address https://n" in said
        assert "The last take-over that is noted: northeurope works since" in said and "by kim" in said
        assert "--take-over REGION --replace-damaged" in said
    assert journal.get(f"app/{RECORD}") == (SOUND[:-20], journal.put("x", SOUND[:-20]))


def test_a_damaged_record_is_replaced_when_that_is_asked_for(fence: Fence, journal: DirectoryRecords) -> None:
    take_over(journal, WEST)
    take_over(journal, NORTH)
    journal.put(f"app/{RECORD}", b"\x00" * 40)
    code, said = fence()
    assert code == 1 and "What can be made out of it: nothing" in said
    code, said = fence("--take-over", WEST, "--replace-damaged")
    assert code == 0 and "westeurope works, as epoch 3" in said
    found = read(journal, f"app/{RECORD}")
    assert found is not None and found[0].region == WEST


def test_what_is_left_of_a_regions_name_makes_no_region_known(fence: Fence, journal: DirectoryRecords) -> None:
    journal.put(f"app/{RECORD}", SOUND[:20])
    code, said = fence("--take-over", "northeu", "--replace-damaged")
    assert code == 2 and "Nobody has used the region 'northeu'; known is none" in said


def test_replacing_asks_nothing_of_a_sound_record(fence: Fence, journal: DirectoryRecords) -> None:
    take_over(journal, WEST)
    take_over(journal, NORTH)
    assert fence("--take-over", WEST, "--replace-damaged")[0] == 0
    assert [one.number for one in history(journal)] == [1, 2, 3]


def test_a_silent_account_is_told_and_no_journal_is_missed(
    fence: Fence, journal: DirectoryRecords, place: Path
) -> None:
    for file in place.rglob("*"):
        file.unlink() if file.is_file() else None
    (place / "app" / "journal%2Ejson").mkdir()  # what cannot be read
    code, said = fence("--take-over", NORTH)
    assert code == 2 and "cannot be read" in said and "There is no journal" not in said
