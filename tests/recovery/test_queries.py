"""The queries of docs/recovery.md look for what the engine was recorded to write, in tables and columns that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.recovery import cuts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recovery.md"
QUERIES = re.findall(r"```kusto\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
# Of AppTraces, as Azure Monitor's reference lists them.
COLUMNS = {"TimeGenerated", "Message", "Properties", "AppRoleName"}
# What the Durable extension says of each step of an instance (its diagnostics page); prefixed with prop__.
FIELDS = {"hubName", "functionName", "functionType", "instanceId", "state", "reason"}
WORDS = {
    "where", "summarize", "extend", "project", "order", "by", "or", "and", "contains", "in", "asc", "desc", "count",
    "max", "min", "arg_max", "any", "bin", "ago", "extract", "substring", "tostring", "AppTraces",
}  # fmt: skip
OURS = {"was accepted without the journal"}  # recovery.journal says it


def plain(query):
    """A query without its comments and texts."""
    return re.sub(r'@?"[^"]*"', '""', re.sub(r"//.*", "", query))


def test_there_are_queries():
    assert len(QUERIES) == 7


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_query_is_one_pipe_over_the_traces_of_the_workspace(query):
    text = plain(query).strip()
    assert text.startswith("AppTraces\n| ")
    assert all(line.lstrip().startswith(("|", "or ", "by ")) for line in text.splitlines()[1:])
    for opening, closing in ("()", "[]"):
        assert text.count(opening) == text.count(closing)
    assert query.count('"') % 2 == 0


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_query_names_nothing_but_columns_operators_and_what_it_made_itself(query):
    text = plain(query)
    made = set(re.findall(r"(\w+) = ", text))
    used = set(re.findall(r"[A-Za-z_]+", re.sub(r"\b\d+\w*", "", text)))
    assert used <= COLUMNS | WORDS | made
    assert set(re.findall(r'prop__(\w+)"', query)) <= FIELDS


@pytest.mark.parametrize("text", sorted({x for query in QUERIES for x in re.findall(r'contains "([^"]+)"', query)}))
def test_what_a_query_looks_for_is_in_the_recorded_log_or_is_said_by_the_app(text):
    recorded = cuts.load("failure-cuts.json")
    said = (PAGE.parents[1] / "recovery" / "journal.py").read_text(encoding="utf-8")
    assert text in recorded or (text in OURS and text in said)


def test_the_instance_is_found_in_a_recorded_line():
    pattern = re.search(r'extract\(@"(\^[^"]+)"', "".join(QUERIES)).group(1)
    line = "wrongx-none: Message [TaskCompleted#0] was received out of order and will be temporarily returned back to q"
    assert line in cuts.load("failure-cuts.json").replace("goldenhub-control-00", "q")
    assert re.search(pattern, line).group(1) == "wrongx-none"
