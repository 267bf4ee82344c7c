"""A hub at work is looked at twice: what seems wrong counts only when nothing of it has changed in between.

The queues are read before the histories, and both change meanwhile, so an instance that moves can look stuck, lost or
repeated in one look. Nothing that moves looks so twice with the same history, the same row and the same thing missing:
the engine puts a message before it writes the history that tells of it, and deletes one after that.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from recovery.facts import Facts
from recovery.rules import Verdict

SECONDS = 6.0  # longer than an episode and the writes after it
Pause = Callable[[float], Awaitable[object]]


class Suspects:
    """The instances that seemed wrong in a first look, and how they were then; in a temporary file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE suspect (id PRIMARY KEY, rule, rows, state, things)")

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM suspect").fetchone()[0])

    def __iter__(self) -> Iterator[str]:
        yield from (row[0] for row in self._db.execute("SELECT id FROM suspect ORDER BY id"))

    def put(self, verdict: Verdict) -> bool:
        """Keeps an instance for the second look if something seems wrong; False: this verdict may stand."""
        if not _is_suspect(verdict):
            return False
        rows = len(verdict.facts.instance.history)
        values = (verdict.instance_id, verdict.rule, rows, _state(verdict), json.dumps(sorted(_things(verdict))))
        self._db.execute("INSERT OR REPLACE INTO suspect VALUES (?, ?, ?, ?, ?)", values)
        return True

    def again(self, verdict: Verdict) -> Verdict:
        """The verdict of the second look, or that the instance moves."""
        verdict = _without_what_cannot_be_seen(verdict)
        if not _is_suspect(verdict):
            return verdict
        found = self._db.execute("SELECT * FROM suspect WHERE id = ?", (verdict.instance_id,)).fetchone()
        _, rule, rows, state, text = found
        before, now = set(json.loads(text)), _things(verdict)
        if state != _state(verdict):
            then = len(verdict.facts.instance.history)
            grown = f"its history had {rows} rows and has {then} now" if then != rows else "it was written to meanwhile"
            return _moves(verdict, grown)
        if (rule != verdict.rule and verdict.kind != "undecided") or (now and not now & before):
            return _moves(verdict, "what is queued for it has changed meanwhile")
        return verdict


def _moves(verdict: Verdict, why: str) -> Verdict:
    return replace(
        verdict, kind="goes-on", outcome="fine", rule="moves", because=f"it moves: {why}",
        findings=(), missing=(), surplus=(),
    )  # fmt: skip


def _without_what_cannot_be_seen(verdict: Verdict) -> Verdict:
    """Beside a host a timer that cannot be seen is nothing to repair; what is undecided stays so."""
    findings = tuple(finding for finding in verdict.findings if finding.name != "timer-not-seen")
    if verdict.kind == "undecided":
        return replace(verdict, rule="not-all-seen", findings=findings, missing=())
    return replace(verdict, findings=findings)


def _is_suspect(verdict: Verdict) -> bool:
    return verdict.needs_repair or verdict.kind == "undecided"


def _state(verdict: Verdict) -> str:
    """Row and history in short. Of its children too where the verdict is about one of them."""
    runs: list[Facts] = [verdict.facts]
    if verdict.rule == "waits-for-stuck-child":
        runs += [x for x in verdict.facts.related.values() if not x.is_entity]
    stored = [(x.id, _sorted(x.row), _sorted(x.instance.sentinel), len(x.instance.history)) for x in runs]
    return hashlib.sha256(repr(stored).encode("utf-8", "replace")).hexdigest()


def _sorted(entity: object) -> object:
    return sorted(entity.items()) if isinstance(entity, dict) else None


def _things(verdict: Verdict) -> set[str]:
    """What is missing and what is too much, by what names it for as long as it is the same."""
    findings = verdict.findings
    missing = [*verdict.missing, *(x for finding in findings for x in finding.missing)]
    surplus = [*verdict.surplus, *(x for finding in findings for x in finding.surplus)]
    return {
        *(f"{x.lost} of {x.leaf.kind} {x.leaf.number} {x.leaf.name}" for x in missing),
        *(f"{x.queue} {x.id}" for x in surplus),
    }  # fmt: skip
