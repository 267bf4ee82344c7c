"""The doctor's report: text for the terminal, JSON for tools, and one self-contained HTML page."""

from __future__ import annotations

import itertools
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
    "goes-on": "moves by itself when a host works",
    "repeats": "moves, but does something a second time unless a message is removed",
    "stuck": "never moves again by itself; nothing in the log says so",
    "damaged": "goes wrong when a message reaches it",
    "lost": "nothing is left that could continue it, or a part of it is gone",
    "orphan": "messages of which nothing else is there",
    "undecided": "messages that could not be seen may belong to it",
}
COLOURS = {
    "completed": "#2a7f62", "waiting": "#2a7f62", "goes-on": "#2a7f62", "repeats": "#d98c1f", "stuck": "#d98c1f",
    "damaged": "#c0392b", "lost": "#c0392b", "orphan": "#8aa4b8", "undecided": "#8aa4b8",
}  # fmt: skip


UNKNOWN_HERE = "What the hub does not hold at all, python -m recovery reconcile compares with the journal."


@dataclass
class Report:
    """Everything that one run of the doctor has to say."""

    found: Examination
    time: str
    plans: Shelf[Plan] = field(default_factory=Shelf)
    repaired: Repaired | None = None
    notes: list[str] = field(default_factory=list)
    show_all: bool = False
    is_live: bool = False  # a host works on the hub, so nothing is planned
    is_read_only: bool = False
    can_apply: bool = False  # some plan has steps

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
    yield from (f"{count} messages of {queue} {_invisible(found)}" for queue, count in found.unseen.items())
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


def _invisible(found: Examination) -> str:
    if found.is_settled:
        return "are invisible, and no host has worked for so long that they can only be waiting for their time"
    if found.undecided:
        return "could not be seen; what may hang on them is left undecided"
    return "could not be seen, and nothing is left open by that"


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
        yield _done(repaired)
        yield from (f"  still not right: {name}: {why}" for name, why in list(repaired.left.items())[:SHOWN])
        yield from (f"  undecided: {line.instance_id}: {line.because}" for line in _undecided(repaired.second_look))
        yield _second_look(repaired)
    elif report.found.is_clean:
        yield "Nothing needs a repair."
    else:
        yield f"Nothing was changed. {_advice(report)}"


def _done(repaired: Repaired) -> str:
    if not repaired.audit:
        return "No plan was carried out."
    count = len(repaired.plans)
    done = f"{count} plans were carried out" if count else "What nobody can read was deleted"
    return f"{done}; their record is in {repaired.audit}."


def _undecided(found: Examination) -> Iterator[Line]:
    return itertools.islice((line for line in found.lines() if line.kind == "undecided"), SHOWN)


def _second_look(repaired: Repaired) -> str:
    found = repaired.second_look
    if repaired.is_clean:
        return "A second look finds nothing."
    if not repaired.left and found.undecided and not found.broken and not found.unaddressed and not found.unknown:
        return f"A second look finds nothing else. {_when_decided(found)}"
    return "A second look still finds the above."


def _when_decided(found: Examination) -> str:
    """What makes an undecided instance a decided one."""
    number = f"{found.undecided} {'instance is' if found.undecided == 1 else 'instances are'} undecided"
    if found.settled_at is None:
        return f"{number}: somebody has its messages in hand, or had them when they were counted; look again."
    return (
        f"{number}: after {found.settled_at:%H:%M:%S}Z no message can be in anybody's hand any more, unless a host "
        "works before; look again then, --wait does."
    )


def _advice(report: Report) -> str:
    """What to do about what was found."""
    found = report.found
    without = " and without --read-only" if report.is_read_only else ""
    if report.is_live:
        return _advice_beside_a_host(found, without)
    words = []
    if report.can_apply or found.unaddressed:
        words.append(f"To carry the plans out: the same command with --apply{without}.")
    elif found.broken:
        words.append("No plan mends what was found; it is left to a person.")
    if found.undecided:
        words.append(_when_decided(found))
    if found.unknown:
        words.append(UNKNOWN_HERE)
    return " ".join(words)


def _advice_beside_a_host(found: Examination, without: str) -> str:
    words = []
    if found.broken or found.unaddressed:
        words.append(
            "A host works on this hub, and beside it nothing is repaired: stop it, "
            f"wait until its leases end (a minute), then the same command with --apply{without}."
        )
    if found.undecided:
        words.append(
            f"{found.undecided} undecided: beside a host nobody can tell whether what they wait for is among the "
            "invisible messages; if one must be known, look at it again without a host."
        )
    if found.unknown:
        words.append(UNKNOWN_HERE)
    return " ".join(words)


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
        "undecided": (repaired.second_look if repaired else found).undecided,
        "live": report.is_live,
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
        yield f"<h2>{len(repaired.plans)} plans carried out</h2>"
        yield f"<p>Record: <code>{escape(repaired.audit)}</code></p>" if repaired.audit else ""
        left = "".join(f"<li><code>{escape(k)}</code>: {escape(v)}</li>" for k, v in repaired.left.items())
        yield f"<p>Still not right:</p><ul>{left}</ul>" if left else ""
        yield f"<p>{escape(_second_look(repaired))}</p>"


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
