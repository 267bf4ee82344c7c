"""docs/conformance.md tells what the data say."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conformance import runner

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def number(cell: str) -> int:
    return int(re.sub(r"\D", "", cell))


def test_the_coverage_table_counts_what_is_there() -> None:
    *topics, total = rows("HTTP answers")
    counted = [(topic, scenarios, steps) for topic, _, scenarios, steps in runner.coverage()]
    assert [(row[0].strip("`"), number(row[2]), number(row[3])) for row in topics] == counted
    assert number(total[2]) == sum(row[1] for row in counted)
    assert number(total[3]) == sum(row[2] for row in counted)


def test_every_deliberate_deviation_is_in_the_table_with_its_reason() -> None:
    told = [(row[0].strip("`"), row[1], row[2]) for row in rows("Deliberate deviations")]
    assert told == [(one.topic, one.name, one.deviates) for one in runner.load(runner.DEVIATIONS)]


def test_only_what_may_differ_deviates() -> None:
    may_differ = {one.id for one in runner.load() if one.may_differ}
    assert {one.id for one in runner.load(runner.DEVIATIONS)} <= may_differ


def test_a_deviation_differs_from_the_recording() -> None:
    recorded = {one.id: one.steps for one in runner.load()}
    assert all(recorded[one.id] != one.steps for one in runner.load(runner.DEVIATIONS))
