"""The doctor's report: text for the terminal, JSON for tools, and one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from recovery.examination import Examination, Line, Repaired
from recovery.pages import UNKNOWN, badge, bar, page, table
from recovery.plans import Plan
from recovery.shelf import Shelf

SHOWN = 40  # instances in the text report, unless all are asked for
ON_PAGE = 2000  # instances on the HTML page
MEANINGS = {
    "completed": "finished, or its result is safe in the row",
    "waiting": "waits rightly, for its timer or somebody outside",
    "goes-on": "moves by itself when a host starts",
    "repeats": "moves, but does something a second time unless a message is removed",
    "stuck": "never moves again by itself; nothing in the log says so",
    "damaged": "goes wrong when a message reaches it",
    "lost": "nothing is left that could continue it, or a part of it is gone",
    "orphan": "messages of which nothing else is there",
    "undecided": "messages that could not be seen may belong to it: look again without hosts",
}
COLOURS = {
    "completed": "#2a7f62", "waiting": "#2a7f62", "goes-on": "#2a7f62", "repeats": "#d98c1f", "stuck": "#d98c1f",
    "damaged": "#c0392b", "lost": "#c0392b", "orphan": "#8aa4b8", "undecided": "#8aa4b8",
}  # fmt: skip


@dataclass
class Report:
    """Everything that one run of the doctor has to say."""

    found: Examination
    time: str
    plans: Shelf[Plan] = field(default_factory=Shelf)
    repaired: Repaired | None = None
    notes: list[str] = field(default_factory=list)
    show_all: bool = False

    @property
    def is_clean(self) -> bool:
        return self.repaired.is_clean if self.repaired else self.found.is_clean


def text(report: Report) -> Iterator[str]:
    """The report as lines."""
    found = report.found
    yield f"Hub {found.hub} in {found.account}: {found.instances} instances, {found.broken} need a repair."
    for kind, meaning in MEANINGS.items():
        if found.counts[kind]:
            yield f"  {kind:10} {found.counts[kind]:8}   {meaning}"
    yield from (f"  note: {note}" for note in (*report.notes, *_notes(found)))
    lines = list(_shown(report))
    for line in lines:
        yield ""
        yield from _instance(line, report.plans.get(line.instance_id))
    hidden = found.broken - len([line for line in lines if line.needs_repair])
    if hidden > 0:
        yield f"… and {hidden} more; --all shows them."
    yield from _ending(report)


def _shown(report: Report) -> Iterator[Line]:
    for number, line in enumerate(_listed(report)):
        if number >= SHOWN and not report.show_all:
            return
        yield line


def _notes(found: Examination) -> Iterator[str]:
    yield from (f"somebody works on this hub: {lease}" for lease in found.leases[:3])
    yield from (
        f"the hub holds nothing of {name}: no row, no history, no message; reconcile tells whether it was accepted"
        for name in found.unknown
    )
    for queue, count in found.unseen.items():
        yield f"{count} messages of {queue} are invisible; what may hang on them is left undecided"
    if found.orphan_blobs:
        blobs, instances = found.orphan_blobs["blobs"], found.orphan_blobs["instances"]
        names = ", ".join(found.orphan_names) + (", …" if instances > len(found.orphan_names) else "")
        whose = f"{instances} instances of which nothing else is there"
        yield f"{blobs} large payloads belong to {whose} ({names}); no harm"
    if found.unreadable:
        yield f"{found.unreadable} instances hold rows that cannot be read; they are named and left as they are"
    for message in found.unaddressed[:5]:
        yield f"{message.queue} holds an unreadable message: {message.problem}"
    if (more := len(found.unaddressed) - 5) > 0:
        yield f"and {more} more unreadable messages"


def _instance(line: Line, plan: Plan | None) -> Iterator[str]:
    yield f"{line.instance_id}: {line.kind} ({line.rule})"
    yield f"    {line.because}"
    if line.findings:
        yield f"    also: {line.findings}"
    if plan is None:
        return
    steps = [f"{step.repair:8} {step.words()}" for step in plan.steps]
    yield from (f"    → {step}" for step in steps[:8])
    if len(steps) > 8:
        yield f"    → … and {len(steps) - 8} steps more"
    if plan.may_repeat:
        yield f"    may run a second time: {', '.join(plan.may_repeat[:5])}"
    if plan.unresolved:
        yield f"    left to a person: {plan.unresolved}"


def _ending(report: Report) -> Iterator[str]:
    yield ""
    repaired = report.repaired
    if repaired is not None:
        yield f"{len(repaired.plans)} plans were carried out; their record is in {repaired.audit}."
        yield from (f"  still not right: {name}: {why}" for name, why in list(repaired.left.items())[:SHOWN])
        yield "A second look finds nothing." if repaired.is_clean else "A second look still finds the above."
    elif report.found.is_clean:
        yield "Nothing needs a repair."
    else:
        yield "Nothing was changed. To carry the plans out: the same command with --apply."


def as_json(report: Report) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """The report for tools, and its `list` apart, which may be long."""
    found, repaired = report.found, report.repaired
    head = {
        "hub": found.hub,
        "account": found.account,
        "time": report.time,
        "instances": found.instances,
        "verdicts": dict(found.counts),
        "outcomes": dict(found.outcomes),
        "needRepair": found.broken,
        "clean": report.is_clean,
        "notes": [*report.notes, *_notes(found)],
        "unseen": dict(found.unseen),
        "orphanBlobs": found.orphan_blobs["blobs"],
        "unreadableInstances": found.unreadable,
        "unreadableMessages": len(found.unaddressed),
        "unknown": found.unknown,
        "repaired": None if repaired is None else {
            "plans": len(repaired.plans),
            "left": repaired.left,
            "audit": repaired.audit,
            "secondLook": dict(repaired.second_look.counts),
        },
    }  # fmt: skip
    return head, (_line_json(line, report.plans.get(line.instance_id)) for line in _listed(report))


def _listed(report: Report) -> Iterator[Line]:
    yield from report.found.lines() if report.show_all else report.found.lines_for_a_person()


def _line_json(line: Line, plan: Plan | None) -> dict[str, Any]:
    return {
        "instance": line.instance_id, "verdict": line.kind, "outcome": line.outcome, "rule": line.rule,
        "because": line.because, "also": line.findings, "needsRepair": line.needs_repair,
        "plan": None if plan is None else _plan_json(plan),
    }  # fmt: skip


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "instance": plan.instance_id,
        "steps": [{"repair": step.repair, "what": step.words()} for step in plan.steps],
        "mayRepeat": list(plan.may_repeat),
        "unresolved": plan.unresolved,
    }


def html(report: Report) -> str:
    """The report as one page without anything from elsewhere."""
    found = report.found
    parts = [
        f"<h1>{escape(found.hub)}: {found.broken} of {found.instances} instances need a repair</h1>",
        f'<p class="muted">{escape(found.account)}, {escape(report.time)}</p>',
        _bar(found),
        table(("verdict", "instances", "meaning"), [
            (_badge(kind), str(found.counts[kind]), escape(meaning))
            for kind, meaning in MEANINGS.items() if found.counts[kind]
        ]),
        "".join(f"<p>{escape(note)}</p>" for note in (*report.notes, *_notes(found))),
        *_page_plans(report),
        *_page_lines(report),
    ]  # fmt: skip
    return page(found.hub, "\n".join(parts))


def _bar(found: Examination) -> str:
    return bar("instances by verdict", [(kind, found.counts[kind], colour) for kind, colour in COLOURS.items()])


def _badge(kind: str) -> str:
    return badge(kind, COLOURS.get(kind, UNKNOWN))


def _page_plans(report: Report) -> Iterator[str]:
    repaired = report.repaired
    if repaired is not None:
        yield f"<h2>{len(repaired.plans)} plans carried out</h2><p>Record: <code>{escape(repaired.audit)}</code></p>"
        left = "".join(f"<li><code>{escape(k)}</code>: {escape(v)}</li>" for k, v in repaired.left.items())
        yield f"<p>Still not right:</p><ul>{left}</ul>" if left else "<p>A second look finds nothing.</p>"


def _page_lines(report: Report) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    for line in _listed(report):
        if len(rows) == ON_PAGE:
            yield f"<p>Only the first {ON_PAGE} are shown; the JSON report has all.</p>"
            break
        rows.append((f"<code>{escape(line.instance_id)}</code>", _badge(line.kind), _evidence(line),
                     _plan_html(report.plans.get(line.instance_id))))  # fmt: skip
    if rows:
        yield "<h2>Instances</h2>" + table(("instance", "verdict", "evidence", "plan"), rows)


def _evidence(line: Line) -> str:
    also = f'<br><span class="muted">{escape(line.findings)}</span>' if line.findings else ""
    return f"{escape(line.because)}{also}<br><code>{escape(line.rule)}</code>"


def _plan_html(plan: Plan | None) -> str:
    if plan is None:
        return ""
    steps = "".join(f"<li>{escape(step.repair)}: {escape(step.words())}</li>" for step in plan.steps[:20])
    repeats = f"<p>May run a second time: {escape(', '.join(plan.may_repeat[:5]))}</p>" if plan.may_repeat else ""
    left = f"<p>Left to a person: {escape(plan.unresolved)}</p>" if plan.unresolved else ""
    return f"<ul>{steps}</ul>{repeats}{left}"
