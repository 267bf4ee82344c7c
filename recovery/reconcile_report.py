"""The reconciler's report: text, JSON, and one self-contained HTML page in the doctor's style."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from recovery.closing import Closing
from recovery.pages import badge, bar, page, table
from recovery.reconciliation import Line, Reconciliation

SHOWN = 60
ON_PAGE = 2000
MEANINGS = {
    "there": "in the hub",
    "ended": "its instance has ended",
    "started": "missing: started with its id and input",
    "raised": "missing: the event was raised",
    "gone": "accepted long before the loss, nothing is there: ended and purged; not started",
    "uncertain": "may have been used already; decide, then --raise-uncertain",
    "reported": "cannot be compared; decide by hand",
    "unreadable": "its record is damaged: what was accepted is not known; ask its sender",
    "withdrawn": "not confirmed by the hub and not there: ask its sender; not started",
    "later": "accepted since the hub was looked at (by this machine's clock): not compared; look again",
}
COLOURS = {
    "there": "#2a7f62", "ended": "#2a7f62", "started": "#d98c1f", "raised": "#d98c1f", "uncertain": "#c0392b",
    "reported": "#c0392b", "unreadable": "#c0392b", "withdrawn": "#8aa4b8", "gone": "#8aa4b8", "later": "#8aa4b8",
}  # fmt: skip
LISTED = [state for state in MEANINGS if state not in ("there", "ended", "later")]


def text(result: Reconciliation) -> Iterator[str]:
    """The report as lines."""
    total = sum(result.counts.values())
    yield f"Journal {result.journal} and hub {result.hub}: {total} accepted requests."
    for state, meaning in MEANINGS.items():
        if result.counts[state]:
            yield f"  {state:10} {result.counts[state]:8}   {_meaning(result, state, meaning)}"
    yield from (f"  {_request(line)}: {line.state}: {line.why}" for line in result.lines(SHOWN))
    if (more := sum(result.counts[state] for state in LISTED) - SHOWN) > 0:
        yield f"  … and {more} more; --json has all."
    yield from _advice(result)
    if result.applied:
        yield f"{result.closed} entries of ended instances were closed, {result.pruned} old records pruned."
    elif result.is_clean:
        yield "Nothing is missing."
    elif result.counts["started"] + result.counts["raised"]:
        yield "Nothing was changed. To do it: the same command with --apply."
    else:
        yield "Nothing was changed, and nothing is to be started or raised."


def _advice(result: Reconciliation) -> Iterator[str]:
    """What a person has to know or to do beside --apply."""
    yield from result.notes
    if result.counts["gone"] and result.arrived is not None:
        yield (
            f"What was accepted before {result.arrived:%Y-%m-%d %H:%M}Z had arrived, and was purged if it is gone. "
            "If the copy was further behind, or a host has worked on it since: --last-sync TIME."
        )
    if result.counts["withdrawn"]:
        yield f"Starts that were not confirmed and are not there: {result.counts['withdrawn']}. Ask who sent them."
    if result.left:
        yield f"Left to a person: {result.left}."


def closing(result: Closing) -> Iterator[str]:
    """The report of --close as lines."""
    was = "were" if result.applied else "are to be"
    yield f"Journal {result.journal} and hub {result.hub}: {result.entries} open requests."
    yield f"  {result.closed} requests of {result.closed_instances} instances that have ended {was} closed."
    if result.forgotten:
        yield f"  {result.forgotten} unconfirmed starts {was} forgotten."
    if result.waits_for_comparison:
        yield "The doctor repaired this hub, and it was not reconciled since: nothing but what has ended is closed."
    if result.applied:
        yield f"{result.pruned} old records were pruned."
    elif result.closed or result.forgotten:
        yield "Nothing was changed. To do it: the same command with --apply."


def _meaning(result: Reconciliation, state: str, meaning: str) -> str:
    return meaning if result.applied else meaning.replace("started with", "to be started with").replace(
        "was raised", "is to be raised"
    )  # fmt: skip


def _request(line: Line) -> str:
    what = " ".join(part for part in (line.kind, line.name) if part)
    return f"{line.time[:19]}Z {what} for {line.instance_id}" if line.time else f"{what} of {line.instance_id}"


def as_json(result: Reconciliation) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """The report for tools, and its `list` apart, which may be long."""
    head = {
        "hub": result.hub, "journal": result.journal, "applied": result.applied, "clean": result.is_clean,
        "requests": {state: count for state, count in result.counts.items() if count}, "closed": result.closed,
        "pruned": result.pruned, "notes": result.notes,
        "arrivedBefore": result.arrived.isoformat() if result.arrived else None,
    }  # fmt: skip
    return head, (
        {"instance": x.instance_id, "kind": x.kind, "name": x.name, "time": x.time, "state": x.state, "because": x.why}
        for x in result.lines()
    )


def _missing(result: Reconciliation) -> str:
    total, missing = sum(result.counts.values()), result.counts["started"] + result.counts["raised"]
    was = "were missing and brought back" if result.applied else "are missing"
    return f"{missing} of {total} accepted requests {was}, {result.left} are for a person"


def html(result: Reconciliation) -> str:
    """The report as one page."""
    rows = [(badge(state, COLOURS[state]), str(result.counts[state]), escape(_meaning(result, state, meaning)))
            for state, meaning in MEANINGS.items() if result.counts[state]]  # fmt: skip
    requests = [
        (escape(x.time[:19].replace("T", " ")), f"<code>{escape(x.instance_id)}</code>", escape(f"{x.kind} {x.name}"),
         badge(x.state, COLOURS[x.state]), escape(x.why))
        for x in result.lines(ON_PAGE)
    ]  # fmt: skip
    body = [
        f"<h1>{escape(result.hub)}: {_missing(result)}</h1>",
        f'<p class="muted">{escape(result.journal)}</p>',
        bar("requests by state", [(state, result.counts[state], COLOURS[state]) for state in MEANINGS]),
        table(("state", "requests", "meaning"), rows),
    ]
    if requests:
        body.append("<h2>Requests</h2>" + table(("accepted", "instance", "request", "state", "because"), requests))
    if sum(result.counts[state] for state in LISTED) > ON_PAGE:
        body.append(f"<p>Only the first {ON_PAGE} are shown; the JSON report has all.</p>")
    return page(f"{result.hub}: journal", "\n".join(body))
