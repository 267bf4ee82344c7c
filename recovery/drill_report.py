"""The report of a drill on a real account as one self-contained HTML page, in the style of the doctor's."""

from __future__ import annotations

from html import escape

from recovery.drill import DrillReport
from recovery.pages import UNKNOWN, badge, bar, page, table

COLOURS = {"completed": "#2a7f62", "stuck": "#d98c1f", "wrong": "#c0392b", "lost": "#c0392b"}
MEANINGS = {
    "completed": "returned in the other region with the data of its event",
    "stuck": "did not return in time",
    "wrong": "returned something else than its event brought",
    "lost": "accepted, and unknown after the failover",
}
OUTAGE = ("fault", "recovery")


def html(report: DrillReport) -> str:
    """The page: what was asked, the verdicts, every step with its time, every instance."""
    return page(f"{report.drill} on {report.executor}", "\n".join((_head(report), _verdicts(report), _steps(report),
                                                                   _instances(report))))  # fmt: skip


def _head(report: DrillReport) -> str:
    verdict = badge("passed", "#2a7f62") if report.passed else badge("failed", "#c0392b")
    problems = "".join(f"<li>{escape(text)}</li>" for text in report.document()["problems"])
    return (
        f"<h1>{escape(report.drill.capitalize())} on {escape(report.executor)} {verdict}</h1>"
        f'<p class="muted">{escape(report.question)}<br>{escape(report.finished)}</p>'
        f"{f'<ul>{problems}</ul>' if problems else ''}"
        f"<p>{report.outage_seconds:.0f} s without an app; last sync time before the fault: "
        f"{escape(report.facts.last_sync_time or 'not known')}.</p>"
    )


def _verdicts(report: DrillReport) -> str:
    counts = report.verdicts
    parts = [(name, count, COLOURS.get(name, UNKNOWN)) for name, count in sorted(counts.items())]
    rows = [(badge(name, colour), str(count), escape(MEANINGS.get(name, ""))) for name, count, colour in parts]
    return bar("instances by verdict", parts) + table(("verdict", "instances", "meaning"), rows)


def _steps(report: DrillReport) -> str:
    rows = [
        (escape(step.phase), escape(step.step), f"{step.seconds:.0f} s", "" if step.passed else badge("failed"),
         escape(step.seen))
        for step in report.steps
    ]  # fmt: skip
    note = f'<p class="muted">Without an app: the steps of {" and ".join(OUTAGE)}.</p>'
    return "<h2>Step by step</h2>" + table(("phase", "step", "time", "", "what was seen"), rows) + note


def _instances(report: DrillReport) -> str:
    rows = [
        (f"<code>{escape(name)}</code>", badge(end, COLOURS.get(end, UNKNOWN)))
        for name, end in report.facts.verdicts.items()
    ]
    return "<h2>Every instance</h2>" + table(("instance", "verdict"), rows) if rows else ""
