"""The drill's report: a summary of one screen, one self-contained HTML page with a timeline, and the data as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from rich.markup import escape as escape_markup
from rich.table import Table

Findings = dict[str, Any]

PAGE, DATA = "drill-report.html", "drill-report.json"
COLOURS = {
    "completed before": "#8aa4b8",
    "completed": "#2a7f62",
    "wrong": "#8e44ad",
    "stuck": "#d98c1f",
    "lost": "#c0392b",
}
MEANINGS = {
    "completed before": "returned before the region was lost, and that survived",
    "completed": "returned in North Europe with its right result",
    "wrong": "ended, but failed or with another result than its own",
    "stuck": "survived in part; waits for something that never arrives",
    "lost": "accepted by West Europe, never replicated",
}
NAMES_SHOWN = 6


def write(findings: Findings, folder: Path) -> tuple[Path, Path]:
    """Writes both files and returns their paths. OSError: the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / PAGE, folder / DATA
    page.write_text(html(findings), encoding="utf-8")
    data.write_text(json.dumps(findings, indent=1) + "\n", encoding="utf-8")
    return page, data


# -- the summary


def summary(findings: Findings) -> Table:
    """At most one screen."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for label, text in _lines(findings):
        table.add_row(label, text)
    return table


def _lines(findings: Findings) -> Iterator[tuple[str, str]]:
    yield "accepted", _accepted(findings)
    for verdict, count in findings["verdicts"].items():
        yield verdict, f"{count:4}  {_named(findings, verdict)}"
    if findings["with_us"]:
        yield "without us", _figures_of(findings["without_us"])
        yield "with us", _figures_of(findings["with_us"])
        yield "what we did", _done(findings["recovery"])
    else:
        yield "events", _events(findings["events"])
        yield "repeated", f"{findings['without_us']['repeated']} activities ran a second time"
    yield "recovery point", _recovery_point(findings)
    yield "recovery time", _recovery_time(findings)
    if not _is_whole(findings):
        yield "ground truth", f"agrees for {findings['ground_truth_agrees']} of {findings['instances']} instances"
    for problem in findings["problems"]:
        yield "[red]not ok[/red]", escape_markup(problem)
    yield "again", findings["command"]


def _accepted(findings: Findings) -> str:
    accepted = findings["accepted"]
    pace = f" (a clock {findings['pace']:g} times as fast as real time)" if findings["pace"] > 1 else ""
    of = f" of {len(findings['workflows'])} workflows" if len(findings["workflows"]) > 1 else ""
    return f"{accepted['starts']} starts{of}, {accepted['events']} events in {findings['work_seconds']:g} s{pace}"


def _figures_of(side: dict[str, int]) -> str:
    """One side of the comparison."""
    return (
        f"{side['lost']} lost, {side['stuck']} stuck, {side['wrong']} wrong, {side['repeated']} activities run again, "
        f"{side['events_lost']} events lost"
    )


def _events(events: dict[str, int]) -> str:
    again = events["lost_and_raised_again"]
    return f"{events['applied']} applied, {events['lost']} lost ({again} raised again by their clients)"


def _is_whole(findings: Findings) -> bool:
    """Whether doctor and journal both took part: then nothing may be lost, and there is no truth to agree with."""
    recovery = findings["recovery"]
    return bool(recovery and recovery["doctor"] and recovery["journal"])


def _done(recovery: dict[str, Any]) -> str:
    did = [f"the doctor repaired {recovery['repaired']}"] if recovery["doctor"] else []
    if recovery["journal"]:
        did.append(
            f"the journal started {recovery['started_again']} and raised {recovery['events_raised_again']} events again"
        )
    return "; ".join(did)


def _named(findings: Findings, verdict: str) -> str:
    """Why, and some of the instances, for those that were not completed."""
    if verdict not in findings["reasons"]:
        return MEANINGS[verdict]
    names = [one["instance"] for one in findings["requests"] if one["verdict"] == verdict]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{MEANINGS[verdict]}: {', '.join(names[:NAMES_SHOWN])}{more}"


def _recovery_point(findings: Findings) -> str:
    point = findings["recovery_point"]
    synced = ", ".join(f"{name} {back:g} s" for name, back in point["last_sync_time_seconds_before"].items())
    if not point["instances"] and not point["events"]:
        return f"0 s: nothing that was accepted is missing (last sync time {synced} before the loss)"
    lost = f"{point['instances']} instances and {point['events']} events"
    words = "are not whole in the copy" if findings["with_us"] else "did not get across whole"
    return f"{point['seconds']:g} s of accepted work: {lost} {words} (last sync time {synced} before the loss)"


def _recovery_time(findings: Findings) -> str:
    times = findings["recovery_time"]
    steps = " · ".join(f"{step['step']} {step['seconds']:.1f}" for step in times["steps"])
    return f"{times['seconds']:.1f} s ({steps})"


# -- the page


def html(findings: Findings) -> str:
    """The whole page; it needs nothing else."""
    verdict = "not ok" if findings["problems"] else "ok"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(findings["drill"])}, seed {findings["seed"]}</title>
<style>{_STYLE}</style></head><body>
<h1>{escape(findings["drill"].capitalize())} <span class="{verdict.replace(" ", "-")}">{verdict}</span></h1>
<p class="question">{escape(findings["question"])}</p>
{_problems(findings)}
{_figures(findings)}
{_side_by_side(findings)}
<h2>What happened to every instance</h2>
{timeline(findings)}
<p class="legend">{_legend(findings)}</p>
{_classes(findings)}
<h2>Recovery, step by step</h2>
{_steps(findings)}
{_outside(findings)}
<h2>Every instance</h2>
{_requests(findings)}
<h2>Again</h2>
<p>Seed {findings["seed"]}, {findings["distribution"]} lag of {findings["lag_seconds"]:g} s. The same seed loses the
same requests: when a write counts as made is fixed by the plan of the work, not by how busy this machine was.</p>
<pre>{escape(findings["command"])}</pre>
<p class="small">{escape(findings["finished"])}</p>
</body></html>
"""


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1040px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin-bottom:0}h2{font-size:1.15em;margin-top:2em}
.ok,.not-ok{font-size:.6em;color:#fff;padding:.2em .7em;border-radius:1em;vertical-align:middle}
.ok{background:#2a7f62}.not-ok{background:#c0392b}.question{color:#555;margin-top:.2em}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25em .8em .25em 0;vertical-align:top}
th{border-bottom:1px solid #bbb;font-weight:600}td{border-bottom:1px solid #eee}
td.n,th.n{text-align:right;white-space:nowrap}
.figures{display:flex;gap:2.5em;flex-wrap:wrap}
.figures b{display:block;font-size:1.7em}.small{color:#777;font-size:.85em}
pre{background:#f4f4f2;padding:.7em;overflow:auto}.legend span{margin-right:1.4em;white-space:nowrap}
.legend i{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin-right:.4em}
details table{font-size:.9em}.problem{background:#fbeae8;padding:.6em .9em}
svg{width:100%;height:auto;background:#fbfbfa}
"""


def _problems(findings: Findings) -> str:
    return "".join(f'<p class="problem">{escape(problem)}</p>' for problem in findings["problems"])


def _figures(findings: Findings) -> str:
    point, times, verdicts = findings["recovery_point"], findings["recovery_time"], findings["verdicts"]
    figures = {
        "accepted before the loss": f"{findings['accepted']['starts']} + {findings['accepted']['events']}",
        "completed": str(verdicts["completed before"] + verdicts["completed"]),
        "stuck": str(verdicts["stuck"]),
        "lost": str(verdicts["lost"]),
        "recovery point": f"{point['seconds']:g} s",
        "recovery time": f"{times['seconds']:.1f} s",
    }
    if not _is_whole(findings):
        agree = f"{findings['ground_truth_agrees']} / {findings['instances']}"
        figures["verdicts that the ground truth confirms"] = agree
    cells = "".join(f"<div><b>{value}</b>{escape(name)}</div>" for name, value in figures.items())
    return f'<div class="figures">{cells}</div><p class="small">{escape(_recovery_point(findings))}</p>'


ROWS = {
    "lost": "instances lost",
    "stuck": "instances stuck for ever",
    "wrong": "instances that end with a wrong result",
    "repeated": "activities that run a second time",
    "events_lost": "accepted events that are not applied",
}


def _side_by_side(findings: Findings) -> str:
    """Without and with doctor and journal, side by side."""
    recovery, with_us = findings["recovery"], findings["with_us"]
    if not recovery or not with_us:
        return ""
    rows = "".join(
        f'<tr><td>{text}</td><td class="n">{findings["without_us"][name]}</td><td class="n">{with_us[name]}</td></tr>'
        for name, text in ROWS.items()
    )
    tools = " and ".join(name for name in ("doctor", "journal") if recovery[name])
    head = f'<tr><th>The same losses</th><th class="n">without us</th><th class="n">with {tools}</th></tr>'
    return f"""<h2>Without us, and with us</h2><table>{head}{rows}</table><p>{escape(_done(recovery).capitalize())}.
Without us: what the surviving writes and the doctor's rules foretell of the promoted hub before anything is repaired.
Activities that run again are what bringing back costs: all of an instance that starts again do. Events that clients
sent to the management webhook, past the app, are in no journal; their clients raised them again.</p>"""


def _legend(findings: Findings) -> str:
    marks = "".join(
        f'<span><i style="background:{colour}"></i>{name} ({findings["verdicts"][name]})</span>'
        for name, colour in COLOURS.items()
    )
    return f"{marks}<span>● start</span><span>▲ event raised, hollow when it was lost</span>"


def _classes(findings: Findings) -> str:
    rows = ""
    for name, count in findings["verdicts"].items():
        why = "<br>".join(f"{escape(reason)}: {n}" for reason, n in findings["reasons"].get(name, {}).items())
        rows += f'<tr><td>{name}</td><td class="n">{count}</td><td>{MEANINGS[name]}</td><td>{why}</td></tr>'
    head = '<tr><th>Verdict</th><th class="n">Instances</th><th>Meaning</th><th>Why</th></tr>'
    return f"<table>{head}{rows}</table>"


def _steps(findings: Findings) -> str:
    times = findings["recovery_time"]
    rows = "".join(
        f'<tr><td>{escape(step["step"])}</td><td class="n">{step["seconds"]:.2f} s</td></tr>' for step in times["steps"]
    )
    last = (
        f'<tr><td><b>from the loss to the last return</b></td><td class="n"><b>{times["seconds"]:.2f} s</b></td></tr>'
    )
    return f"""<table>{rows}{last}</table><p class="small">Real time on this machine. On Azure the failover of the
account alone takes up to an hour.</p>"""


def _outside(findings: Findings) -> str:
    happened = ", ".join(f"{count} {what}" for what, count in findings["outside"].items() if count)
    if not happened:
        return ""
    return f"""<h2>The world outside</h2><p>{happened}: whatever ran again, the services did it once for each key. The
drill fails if they did it twice, or never for an order that was completed.</p>"""


def _requests(findings: Findings) -> str:
    rows = "".join(_request(one) for one in findings["requests"])
    names = ("Instance", "Workflow", "Started", "Event raised", "Event", "Verdict", "Why")
    head = f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
    return f"<details><summary>{findings['instances']} instances</summary><table>{head}{rows}</table></details>"


def _request(one: dict[str, Any]) -> str:
    raised = "" if one["raised_at"] is None else f"{one['raised_at']:.2f} s, {one['raised_through']}"
    event = "" if one["event"] is None else one["event"]
    event += " raised again" if one["event_raised_again"] else ""
    note = "; ".join(filter(None, (one["why"], one["remark"], "" if one["agrees"] else f"truth: {one['truth']}")))
    return (
        f"<tr><td>{escape(one['instance'])}</td><td>{one['workflow']}</td><td>{one['started_at']:.2f} s</td>"
        f"<td>{raised}</td>"
        f"<td>{event}</td><td>{one['verdict']}</td><td>{escape(note)}</td></tr>"
    )


# -- the picture

WIDTH, LEFT, RIGHT, TOP, HEIGHT = 1000.0, 18.0, 250.0, 26.0, 520.0


def timeline(findings: Findings) -> str:
    """One line for each instance, from its start to the loss, in the colour of its verdict; then the recovery."""
    scale = (WIDTH - LEFT - RIGHT) / findings["work_seconds"]
    loss = LEFT + findings["work_seconds"] * scale
    pitch = HEIGHT / max(1, findings["instances"])
    lines = "".join(
        _line(one, TOP + (number + 0.5) * pitch, pitch, scale, loss)
        for number, one in enumerate(sorted(findings["requests"], key=_start))
    )
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT + TOP + 40:.0f}" role="img" font-size="12" fill="#444">'
        f"{_lost_work(findings, scale, loss)}{_axis(findings, scale)}{lines}{_loss(loss)}"
        f"{_recovery(findings, loss)}</svg>"
    )


def _start(one: dict[str, Any]) -> float:
    return float(one["started_at"])


def _line(one: dict[str, Any], y: float, pitch: float, scale: float, loss: float) -> str:
    colour, x = COLOURS[one["verdict"]], LEFT + one["started_at"] * scale
    thick, radius = max(0.5, min(3.0, pitch * 0.55)), max(0.8, min(3.0, pitch * 0.6))
    returned = one["verdict"] == "completed before" and one["raised_at"] is not None
    end = LEFT + one["raised_at"] * scale if returned else loss
    title = escape(f"{one['instance']}: {one['verdict']} {one['why']}")
    marks = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}"/>'
    if one["raised_at"] is not None:
        marks += _triangle(LEFT + one["raised_at"] * scale, y, radius * 1.3, colour, one["event"] == "lost")
    if one["verdict"] == "completed":
        marks += f'<path d="M{loss:.1f} {y:.1f}h14" stroke="{colour}" stroke-width="{thick:.1f}"/>'
    return (
        f'<g><title>{title}</title><path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="{colour}" '
        f'stroke-width="{thick:.1f}" opacity=".55"/>{marks}</g>'
    )


def _triangle(x: float, y: float, size: float, colour: str, is_hollow: bool) -> str:
    fill = "#fff" if is_hollow else colour
    return (
        f'<path d="M{x:.1f} {y - size:.1f}l{size:.1f} {2 * size:.1f}h{-2 * size:.1f}z" '
        f'fill="{fill}" stroke="{colour}" stroke-width=".6"/>'
    )


def _lost_work(findings: Findings, scale: float, loss: float) -> str:
    """The span in which something that was accepted did not survive."""
    back = findings["recovery_point"]["seconds"] * scale
    if not back:
        return ""
    start = max(LEFT, loss - back)
    return (
        f'<rect x="{start:.1f}" y="{TOP}" width="{loss - start:.1f}" height="{HEIGHT}" fill="#c0392b" opacity=".08"/>'
        f'<text x="{start + 4:.1f}" y="{TOP - 8}">recovery point {findings["recovery_point"]["seconds"]:g} s</text>'
    )


def _axis(findings: Findings, scale: float) -> str:
    step = max(1, round(findings["work_seconds"] / 8))
    marks = "".join(
        f'<path d="M{LEFT + at * scale:.1f} {TOP}v{HEIGHT}" stroke="#ddd"/>'
        f'<text x="{LEFT + at * scale:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{at} s</text>'
        for at in range(0, int(findings["work_seconds"]) + 1, step)
    )
    return marks


def _loss(loss: float) -> str:
    return (
        f'<path d="M{loss:.1f} {TOP - 18}v{HEIGHT + 18}" stroke="#c0392b" stroke-width="1.5"/>'
        f'<text x="{loss + 5:.1f}" y="{TOP - 8}" fill="#c0392b">West Europe is gone</text>'
    )


def _recovery(findings: Findings, loss: float) -> str:
    """The steps after the loss, below each other, on a scale of their own."""
    steps = findings["recovery_time"]["steps"]
    total = sum(step["seconds"] for step in steps) or 1.0
    x, drawn = loss + 22, ""
    scale = (WIDTH - x - 6) / total
    for number, step in enumerate(steps):
        width, y = max(1.5, step["seconds"] * scale), TOP + 30 + number * 44
        drawn += f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="12" rx="2" fill="#5b7da0"/>'
        drawn += f'<text x="{loss + 22:.1f}" y="{y - 4}">{escape(step["step"])}, {step["seconds"]:.1f} s</text>'
        x += step["seconds"] * scale
    return drawn
