"""The report: progress, result inline or by link, cancel, and the polling contract."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.driver import World
from tests.workflows.endpoints import call
from workflows import blobs, report
from workflows.responses import InvalidInput

SHORT = {"title": "Q1", "parts": 3, "rows_per_part": 2}


def test_a_short_report_carries_its_text_and_leaves_one_blob(world: World, blob_directory: Path) -> None:
    output = world.run("report", report.check(SHORT), "R-1").output
    assert output["status"] == "written" and output["text"].startswith("Q1\n\nPart 1\n")
    assert [p.name for p in blob_directory.rglob("*") if p.is_file()] == ["report.txt"]


def test_a_report_over_64_kb_travels_by_link_only(world: World, blob_directory: Path) -> None:
    output = world.run("report", report.check({"parts": 2, "rows_per_part": 2000}), "R-1").output
    assert "text" not in output and output["link"].endswith("/api/reports/R-1/text")
    text = call(world, "get_report_text", route={"id": "R-1"}).body
    assert hashlib.sha256(text).hexdigest() == output["sha256"] and len(text) == output["bytes"] > 64 * 1024


def test_the_status_shows_percent_and_part(blob_directory: Path) -> None:
    world = World()
    statuses = world.run("report", report.check(SHORT)).statuses
    assert statuses[0] == {"percent": 0, "part": "1 of 3"} and statuses[-1] == {"percent": 100, "part": "done"}


@pytest.mark.parametrize("as_azure", [False, True])
def test_a_cancelled_report_stops_after_the_part_in_hand_and_leaves_nothing(
    blob_directory: Path, as_azure: bool
) -> None:
    world = World(as_azure=as_azure)
    world.start("report", report.check(SHORT), "R-1")
    world.after_activity = lambda name, value: (
        world.raise_event("R-1", "cancel", {}) if world.calls["write_report_part"] == 2 else None
    )
    world.settle()
    assert world.instances["R-1"].output["status"] == "cancelled"
    assert not [p for p in blob_directory.rglob("*") if p.is_file()]


def test_a_copy_of_the_binding_that_comes_late_does_not_replace_the_report(blob_directory: Path) -> None:
    world = World()
    output = world.run("report", report.check(SHORT), "R-1").output
    late = next(data for name, data in world.log if name == "bind_report")
    before = blobs.container().get("reports/R-1/report.txt")
    assert world.activity("bind_report", late) == output
    assert blobs.container().get("reports/R-1/report.txt") == before


def test_a_binding_whose_parts_and_report_are_gone_fails(blob_directory: Path) -> None:
    world = World()
    world.run("report", report.check(SHORT), "R-1")
    late = next(data for name, data in world.log if name == "bind_report")
    blobs.container().delete("reports/R-1/report.txt")
    with pytest.raises(blobs.BlobMissing):
        world.activity("bind_report", late)


def test_a_report_in_the_making_is_202_and_200_when_it_is_written(blob_directory: Path) -> None:
    world = World()
    started = call(world, "start_report", SHORT, params={"id": "R-1"})
    assert started.status == 202
    assert call(world, "get_report", route={"id": "R-1"}).status == 202
    assert call(world, "get_report_text", route={"id": "R-1"}).status == 404
    world.settle()
    assert call(world, "get_report", route={"id": "R-1"}).status == 200


def test_waiting_answers_with_the_result_when_it_is_there(blob_directory: Path) -> None:
    world = World()
    world.run("report", report.check(SHORT), "R-1")
    answer = call(world, "start_report", SHORT, params={"id": "R-1", "wait": "5"})
    assert answer.status == 200 and answer.body["status"] == "written"


def test_waiting_in_vain_answers_202_with_links(blob_directory: Path) -> None:
    answer = call(World(), "start_report", SHORT, params={"id": "R-1", "wait": "0.01"})
    assert answer.status == 202 and answer.body["id"] == "R-1"


@pytest.mark.parametrize("wait", ["soon", "-1", "61", "nan"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(wait: str) -> None:
    assert call(World(), "start_report", SHORT, params={"wait": wait}).fields() == ["wait"]


def test_cancel_of_a_finished_report_is_410_and_of_another_workflow_404(blob_directory: Path) -> None:
    world = World()
    world.run("report", report.check(SHORT), "R-1")
    world.start("external_event", None, "E-1")
    assert call(world, "cancel_report", route={"id": "R-1"}).status == 410
    assert call(world, "cancel_report", route={"id": "E-1"}).status == 404


@pytest.mark.parametrize("data", [[], {"parts": 0}, {"rows_per_part": 1.5}, {"title": ""}, {"pages": 3}])
def test_a_report_with_something_wrong_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput):
        report.check(data)
