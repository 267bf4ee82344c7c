"""The report says what was lost, in a summary of one screen, one page that needs nothing else, and JSON."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab import report

VERDICTS = ("completed before", "completed", "wrong", "stuck", "lost")


def instance(number: int, verdict: str) -> dict[str, Any]:
    why = {"stuck": "its <row> is missing", "lost": "never arrived"}.get(verdict, "")
    raised = number + 0.5 if number % 2 else None
    return {
        "instance": f"drill-{number:04}", "workflow": "order", "started_at": float(number), "raised_at": raised,
        "raised_through": "kept URL" if raised else None, "verdict": verdict, "event": "lost" if raised else None,
        "event_raised_again": verdict == "completed", "why": why, "remark": "", "agrees": True,
        "truth": {"verdict": verdict, "event": None, "why": why},
    }  # fmt: skip


@pytest.fixture
def findings() -> dict[str, Any]:
    requests = [instance(number, VERDICTS[number % 5]) for number in range(50)]
    return {
        "drill": "unplanned failover", "question": "What do we lose?", "command": "python scripts/drill --seed 7",
        "finished": "2026-01-02T03:04:05+00:00", "seed": 7, "instances": 50, "lag_seconds": 5.0,
        "distribution": "long-tailed", "work_seconds": 42.0, "pace": 1.0, "accepted": {"starts": 50, "events": 20},
        "verdicts": dict.fromkeys(VERDICTS, 10), "workflows": {"external_event": 30, "order": 20},
        "recovery": None, "with_us": None, "outside": {"charges": 3, "shipments": 2, "messages": 0},
        "without_us": {"lost": 10, "stuck": 10, "wrong": 10, "repeated": 6, "events_lost": 20},
        "reasons": {"stuck": {"its <row> is missing": 10}, "lost": {"never arrived": 10}},
        "events": {"applied": 0, "lost": 20, "lost_and_raised_again": 10},
        "recovery_point": {
            "seconds": 4.2, "instances": 20, "events": 20, "last_sync_time_seconds_before": {"table": 9.0},
        },
        "recovery_time": {"seconds": 6.5, "steps": [{"step": "start North Europe", "seconds": 2.5}]},
        "ground_truth_agrees": 50, "problems": [], "requests": requests,
    }  # fmt: skip


def printed(findings: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(report.summary(findings))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


class Page(HTMLParser):
    """Collects what a page refers to, and checks that tags are closed in order."""

    VOID = {"meta", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [str(value) for name, value in attributes if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_summary_fits_one_screen_and_names_what_was_lost(findings: dict[str, Any]) -> None:
    text = printed(findings)
    assert len(text.splitlines()) <= 24
    assert "drill-0004" in text and "4 more" in text
    assert "4.2 s of accepted work: 20 instances and 20 events" in text
    assert "python scripts/drill --seed 7" in text


def test_a_problem_is_in_the_summary_and_on_the_page(findings: dict[str, Any]) -> None:
    findings["problems"] = ["the verdict and the ground truth differ"]
    assert "not ok" in printed(findings)
    assert "the verdict and the ground truth differ" in report.html(findings)


def test_the_page_is_whole_and_needs_nothing_else(findings: dict[str, Any]) -> None:
    page = Page(report.html(findings))
    assert page.open == []
    assert page.references == []
    assert "script" not in page.tags and "svg" in page.tags


def test_the_page_draws_every_instance_in_the_colour_of_its_verdict(findings: dict[str, Any]) -> None:
    picture = report.timeline(findings)
    assert picture.count("<g>") == 50
    assert all(picture.count(f'fill="{colour}"') >= 10 for colour in report.COLOURS.values())


def test_what_instances_say_is_escaped(findings: dict[str, Any]) -> None:
    assert "its &lt;row&gt; is missing" in report.html(findings)
    assert "<row>" not in report.html(findings)


def test_when_nothing_was_lost_the_summary_says_so(findings: dict[str, Any]) -> None:
    findings["recovery_point"] |= {"seconds": 0.0, "instances": 0, "events": 0}
    assert "nothing that was accepted is missing" in printed(findings)


def test_both_files_are_written_where_they_were_asked_for(findings: dict[str, Any], tmp_path: Path) -> None:
    page, data = report.write(findings, tmp_path / "new")
    assert json.loads(data.read_text()) == findings
    assert page.read_text().startswith("<!doctype html>")


@pytest.fixture
def recovered(findings: dict[str, Any]) -> dict[str, Any]:
    """The same losses, with doctor and journal."""
    did = {"doctor": True, "journal": True, "repaired": 12, "started_again": 9, "events_raised_again": 5, "reported": 1}
    with_us = {"lost": 0, "stuck": 0, "wrong": 0, "repeated": 17, "events_lost": 2}
    return findings | {"recovery": did, "with_us": with_us}


def test_what_happens_without_us_stands_beside_what_happened_with_us(recovered: dict[str, Any]) -> None:
    lines = {line[:18].strip(): line[18:] for line in printed(recovered).splitlines()}
    assert "10 lost, 10 stuck, 10 wrong, 6 activities run again, 20 events lost" in lines["without us"]
    assert "0 lost, 0 stuck, 0 wrong, 17 activities run again, 2 events lost" in lines["with us"]
    assert "the doctor repaired 12; the journal started 9 and raised 5 events again" in lines["what we did"]
    assert "ground truth" not in lines
    page = report.html(recovered)
    assert "with doctor and journal" in page and Page(page).open == []
    for name, text in report.ROWS.items():
        sides = f'{recovered["without_us"][name]}</td><td class="n">{recovered["with_us"][name]}</td>'
        assert f'<td>{text}</td><td class="n">{sides}' in page


def test_without_one_of_them_the_ground_truth_is_still_asked(recovered: dict[str, Any]) -> None:
    recovered["recovery"]["journal"] = False
    assert "the doctor repaired 12" in printed(recovered) and "the journal" not in printed(recovered)
    assert "agrees for 50 of 50 instances" in printed(recovered)


def test_without_both_nothing_is_compared(findings: dict[str, Any]) -> None:
    assert "with us" not in printed(findings) and "Without us" not in report.html(findings)
    assert "6 activities ran a second time" in printed(findings)
    assert "0 applied, 20 lost (10 raised again by their clients)" in printed(findings)


def test_what_happened_outside_is_on_the_page_when_anything_did(findings: dict[str, Any]) -> None:
    assert "3 charges, 2 shipments:" in report.html(findings)
    findings["outside"] = dict.fromkeys(findings["outside"], 0)
    assert "The world outside" not in report.html(findings)
