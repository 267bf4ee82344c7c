"""The reconciler's report: text, JSON, and one self-contained HTML page in the doctor's style."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from recovery.pages import page, table

if TYPE_CHECKING:
    from recovery.reconcile import Outcome, Reconciliation

SHOWN = 60
MEANINGS = {
    "there": "in the hub",
    "ended": "its instance has ended",
    "started": "missing: started with its id and input",
    "raised": "missing: the event was raised",
    "uncertain": "may have been used already; decide, then --raise-uncertain",
    "reported": "cannot be compared; decide by hand",
}


def text(result: Reconciliation) -> Iterator[str]:
    """The report as lines."""
    total = sum(result.counts.values())
    yield f"Journal {result.journal} and hub {result.hub}: {total} accepted requests."
    for state, meaning in MEANINGS.items():
        if result.counts[state]:
            yield f"  {state:10} {result.counts[state]:8}   {_meaning(result, state, meaning)}"
    for outcome in result.outcomes[:SHOWN]:
        yield f"  {_request(outcome)}: {outcome.state}: {outcome.why}"
    if len(result.outcomes) > SHOWN:
        yield f"  … and {len(result.outcomes) - SHOWN} more; --json has all."
    if result.applied:
        yield f"{result.closed} entries of ended instances were closed, {result.pruned} old records pruned."
    elif result.is_clean:
        yield "Nothing is missing."
    else:
        yield "Nothing was changed. To do it: the same command with --apply."


def _meaning(result: Reconciliation, state: str, meaning: str) -> str:
    return meaning if result.applied else meaning.replace("started with", "to be started with").replace(
        "was raised", "is to be raised"
    )  # fmt: skip


def _request(outcome: Outcome) -> str:
    entry = outcome.entry
    return f"{entry.time[:19]}Z {entry.kind} {entry.name} for {entry.instance_id}"


def as_json(result: Reconciliation) -> dict[str, Any]:
    """The report for tools."""
    return {
        "hub": result.hub, "journal": result.journal, "applied": result.applied, "clean": result.is_clean,
        "requests": dict(result.counts), "closed": result.closed, "pruned": result.pruned,
        "list": [
            {"instance": x.entry.instance_id, "kind": x.entry.kind, "name": x.entry.name, "time": x.entry.time,
             "state": x.state, "because": x.why}
            for x in result.outcomes
        ],
    }  # fmt: skip


def html(result: Reconciliation) -> str:
    """The report as one page."""
    rows = [(state, str(result.counts[state]), escape(_meaning(result, state, meaning)))
            for state, meaning in MEANINGS.items() if result.counts[state]]  # fmt: skip
    requests = [
        (escape(x.entry.time[:19]), f"<code>{escape(x.entry.instance_id)}</code>",
         escape(f"{x.entry.kind} {x.entry.name}"), escape(x.state), escape(x.why))
        for x in result.outcomes
    ]  # fmt: skip
    body = [
        f"<h1>{escape(result.hub)}: accepted requests and what became of them</h1>",
        f'<p class="muted">{escape(result.journal)}</p>',
        table(("state", "requests", "meaning"), rows),
    ]
    if requests:
        body.append("<h2>Requests</h2>" + table(("accepted", "instance", "request", "state", "because"), requests))
    return page(f"{result.hub}: journal", "\n".join(body))
