"""One look at a hub: every instance judged and what needs attention kept; and the repair with a second look."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from recovery import passes, plans, rules
from recovery.awaits import is_ahead_of_parent
from recovery.facts import Facts
from recovery.hubs import live_leases
from recovery.looks import TIMERS_AT_ONCE, SentTimer, note_timers, timer_of
from recovery.observed import Instance, Message
from recovery.plans import Plan
from recovery.proofs import settled
from recovery.repair_steps import Delete, Send
from recovery.repairs import Audit, apply
from recovery.rules import Verdict
from recovery.second_look import SECONDS, Pause, Suspects
from recovery.shelf import Shelf
from recovery.snapshot import Snapshot
from recovery.sweep import Way
from taskhub import messages as m
from taskhub.errors import NotFound, Undecodable
from taskhub.hub import HubSettings, TaskHub

MAX_ROUNDS = 5
NAMED = 5
WORST_FIRST = ("damaged", "lost", "stuck", "repeats", "undecided", "goes-on", "waiting", "orphan", "completed")
UNREPAIRABLE = ("child-not-here", "work-not-in-history")  # named, for a person to look at
_UNDECIDED = "kind = 'undecided' AND NOT repair"
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, Undecodable)
Replay = Callable[[Facts], Any]
Progress = Callable[[int], None]
WithJournal = Callable[[Facts], Facts]


@dataclass(frozen=True)
class Line:
    """One instance in a report."""

    instance_id: str
    kind: str
    outcome: str
    rule: str
    because: str
    findings: str
    needs_repair: bool


@dataclass
class Examination:
    """What one look found. Lines of instances that need nothing are counted; the others wait in a temporary file."""

    hub: str
    account: str
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    unaddressed: tuple[Message, ...] = ()
    unseen: Mapping[str, int] = field(default_factory=dict)
    sees_all: bool = True  # invisible messages too, as on an embedded account
    is_settled: bool = False  # what is invisible can only be waiting for its time, see recovery.looks
    settled_at: datetime | None = None  # when it will be so; None: it is, nothing is invisible, or a host works
    leases: list[str] = field(default_factory=list)
    overtaken: set[str] = field(default_factory=set)  # instances with a child that is ahead of them
    encoding: m.Encoding = "base64"
    unknown: list[str] = field(default_factory=list)  # instances that were asked for and of which nothing is there
    orphan_blobs: Counter[str] = field(default_factory=Counter)  # payloads alone, and of how many instances
    orphan_names: list[str] = field(default_factory=list)  # some of those instances
    unreadable: int = 0  # instances that make no sense; they are named and left

    def __post_init__(self) -> None:
        self._lines = sqlite3.connect("")
        self._lines.execute("CREATE TABLE line (id, kind, outcome, rule, because, findings, repair)")
        self._lines.execute("CREATE TABLE awaited (child PRIMARY KEY, parent)")

    @property
    def instances(self) -> int:
        return sum(self.counts.values())

    @property
    def broken(self) -> int:
        """How many instances need a repair."""
        return int(self._lines.execute("SELECT count(*) FROM line WHERE repair").fetchone()[0])

    @property
    def is_clean(self) -> bool:
        return self.broken == 0 and self.undecided == 0 and not self.unaddressed and not self.unknown

    @property
    def undecided(self) -> int:
        """How many instances nothing but another look can judge."""
        return int(self._lines.execute(f"SELECT count(*) FROM line WHERE {_UNDECIDED}").fetchone()[0])

    def add(self, verdict: Verdict) -> None:
        """Counts a verdict, and keeps it unless the instance is simply finished."""
        self.counts[verdict.kind] += 1
        self.outcomes[verdict.outcome] += 1
        self.unreadable += bool(verdict.facts.instance.problems)
        if any(finding.name == "ahead-of-its-parent" for finding in verdict.findings):
            self.overtaken.add(str((verdict.facts.parent or {}).get("InstanceId")))
        if verdict.kind == "completed" and not verdict.needs_repair and not verdict.findings:
            return
        findings = "; ".join(f"{finding.name}: {finding.because}" for finding in verdict.findings)
        self._lines.execute(
            "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_text(verdict.instance_id), verdict.kind, verdict.outcome, verdict.rule, _text(verdict.because),
             _text(findings), verdict.needs_repair),
        )  # fmt: skip

    def add_finished(self) -> None:
        """Counts an instance that the scan found finished and tidy."""
        self.counts["completed"] += 1
        self.outcomes["fine"] += 1

    def add_awaited(self, child: str, parent: str) -> None:
        """Keeps that a parent has begun a child and waits for its answer."""
        self._lines.execute("INSERT OR IGNORE INTO awaited VALUES (?, ?)", (_text(child), _text(parent)))

    def parent_of(self, child: str) -> str:
        """The instance that waits for a child and starts it again if it is gone; empty when nobody does."""
        row = self._lines.execute("SELECT parent FROM awaited WHERE child = ?", (_text(child),)).fetchone()
        return str(row[0]) if row else ""

    def add_departed(self, child: str, parent: str) -> None:
        """Keeps a child that has answered and of which the hub holds nothing: nothing can or need be repaired."""
        why = (
            f"its parent {parent} has its answer, and the hub holds nothing of it: "
            "whether entities got what it asked of them is not known"
        )
        self._lines.execute(
            "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_text(child), "lost", "undecided", "child-not-here", _text(why), "", False),
        )

    @property
    def departed(self) -> list[str]:
        """The children that have answered and are not here."""
        return [row[0] for row in self._lines.execute("SELECT id FROM line WHERE rule = 'child-not-here'")]

    def forget_departed(self, child: str) -> None:
        """Takes one of them back: it is here after all."""
        self._lines.execute("DELETE FROM line WHERE rule = 'child-not-here' AND id = ?", (child,))

    def lines(self, only_broken: bool = False) -> Iterator[Line]:
        """The instances that are not simply finished, those that need a repair first, the worst of them at the top."""
        return self._selected("WHERE repair" if only_broken else "")

    def lines_for_a_person(self) -> Iterator[Line]:
        """Those that need a repair, and those that nothing can repair and somebody has to look at."""
        unrepairable = (f"OR rule = '{name}' OR findings LIKE '%{name}%'" for name in UNREPAIRABLE)
        return self._selected(f"WHERE repair OR {_UNDECIDED} {' '.join(unrepairable)}")

    def _selected(self, condition: str) -> Iterator[Line]:
        worst = " ".join(f"WHEN '{kind}' THEN {rank}" for rank, kind in enumerate(WORST_FIRST))
        order = f"repair DESC, CASE kind {worst} ELSE {len(WORST_FIRST)} END, id"
        for row in self._lines.execute(f"SELECT * FROM line {condition} ORDER BY {order}"):
            yield Line(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]))

    def broken_ids(self) -> Iterator[str]:
        """The instances that need a repair."""
        yield from (row[0] for row in self._lines.execute("SELECT id FROM line WHERE repair ORDER BY id"))


def _text(text: str) -> str:
    """As it can be written down: JSON may hold halves of characters."""
    return text.encode("utf-8", "replace").decode()


@dataclass
class Doctor:
    """Looks at one hub and repairs it."""

    hub: TaskHub
    replay: Replay | None = None
    way: Way = "everything"
    only: Sequence[str] = ()
    replies: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = lambda count: None  # told how many instances were read
    repairing: Progress = lambda count: None  # told how many plans were carried out
    with_journal: WithJournal | None = None  # adds what the journal knows of an instance
    pause: Pause | None = None  # on a hub at work: what comes between the two looks at what seems wrong

    async def examine(self) -> Examination:
        """One look; on a hub at work a second one too. AccountError: the account refuses or does not answer."""
        suspects = Suspects()
        found = await self._look(suspects)
        if self.pause is not None and (suspects or found.unaddressed or found.unknown or found.departed):
            await self.pause(SECONDS)
            await self._look_again(suspects, found)
        return found

    async def _look(self, suspects: Suspects) -> Examination:
        snapshot = await Snapshot.take(self.hub, self.way)
        try:
            found = await self._begin(snapshot)
            async for verdict in self._verdicts(snapshot, found):
                if self.pause is None or not suspects.put(verdict):
                    found.add(verdict)
            for child, parent in snapshot.children_not_here():
                found.add_departed(child, parent)
            for child, parent in snapshot.children_awaited():
                found.add_awaited(child, parent)
            return found
        finally:
            await snapshot.release()
            snapshot.close()

    async def _look_again(self, suspects: Suspects, found: Examination) -> None:
        """Judges what seemed wrong once more; what has changed meanwhile moves."""
        snapshot = await Snapshot.take(self.hub, self.way)
        try:
            found.unseen, found.settled_at = dict(snapshot.unseen), snapshot.settled_at
            for instance_id in suspects:
                found.add(suspects.again(await self._judge(snapshot, instance_id)))
            left = {message.id for message in snapshot.unaddressed()}
            found.unaddressed = tuple(message for message in found.unaddressed if message.id in left)
            for name in list(found.unknown):
                verdict = await self._judge(snapshot, name)
                if verdict.rule != "orphan-messages":
                    found.unknown.remove(name)
                    found.add(verdict)
            for child in found.departed:
                there = await snapshot.instance(child)
                if there.row is not None or there.history:
                    found.forget_departed(child)
        finally:
            await snapshot.release()
            snapshot.close()

    async def _begin(self, snapshot: Snapshot) -> Examination:
        account = self.hub.account
        return Examination(
            self.hub.names.hub,
            account.description or account.name,
            unaddressed=() if self.only else snapshot.unaddressed(),
            unseen=dict(snapshot.unseen),
            sees_all=snapshot.looks is None,
            is_settled=snapshot.is_settled,
            settled_at=snapshot.settled_at,
            leases=await live_leases(self.hub),
            encoding=snapshot.encoding or "base64",
        )

    async def _verdicts(self, snapshot: Snapshot, found: Examination) -> AsyncIterator[Verdict]:
        if self.only:
            for instance_id in self.only:
                verdict = await self._judge(snapshot, instance_id)
                if verdict.rule == "orphan-messages" and not verdict.facts.instance.messages:
                    found.unknown.append(instance_id)
                    continue
                for parent in await snapshot.parents_of(instance_id) if verdict.needs_repair else ():
                    found.add_awaited(instance_id, parent)
                yield verdict
            return
        number = 0
        async for glance in snapshot.glances():
            number += 1
            self.progress(number)
            if glance.is_tidy:
                found.add_finished()
            else:
                yield await self._judge(snapshot, glance.instance_id)
        async for instance_id, count in snapshot.orphan_blobs():
            found.orphan_blobs.update(blobs=count, instances=1)
            found.orphan_names += [instance_id] if len(found.orphan_names) < NAMED else []

    async def _judge(self, snapshot: Snapshot, instance_id: str) -> Verdict:
        try:
            facts = await snapshot.facts(instance_id, self.replay, self.with_journal)
            return settled(rules.judge(facts), self.replay)
        except UNREADABLE as error:
            return rules.judge(Facts(await _unreadable(snapshot, instance_id, error)))

    def plan(self, verdict: Verdict, found: Examination) -> Plan:
        """The plan for one verdict of an examination."""
        if verdict.instance_id in found.overtaken and is_ahead_of_parent(verdict.facts):
            return Plan(verdict.instance_id, verdict.rule, ())  # first what is ahead of it goes, while it can be told
        try:
            parent = found.parent_of(verdict.instance_id)
            plan = plans.make_plan(verdict, bool(parent), self.replies)
            if plan.is_empty and parent and self.only and parent not in self.only:
                return replace(
                    plan, unresolved=f"its parent {parent} starts it again: --only {parent} {plan.instance_id}"
                )
            # Whatever follows from a history that cannot be read whole may be wrong.
            plan = replace(plan, steps=()) if verdict.facts.instance.problems else plan
            return replace(plan, unresolved=plan.unresolved or _for_a_person(verdict))
        except UNREADABLE as error:
            why = f"what is stored of it makes no sense: {str(error)[:200]}"
            return Plan(verdict.instance_id, verdict.rule, (), unresolved=why)

    async def plans(self, found: Examination, way: Way | None = None) -> AsyncIterator[tuple[Verdict, Plan]]:
        """A plan for every instance that needs one, each read again."""
        snapshot = await Snapshot.take(self.hub, way or self.way)
        try:
            for instance_id in found.broken_ids():
                verdict = await self._judge(snapshot, instance_id)
                if verdict.needs_repair:
                    yield verdict, self.plan(verdict, found)
        finally:
            await snapshot.release()
            snapshot.close()

    async def repair(self, found: Examination) -> Repaired:
        """Carries out the plans, looks again, and goes on while there is something it can do."""
        self.hub.settings = HubSettings(
            self.hub.settings.name, self.hub.settings.partition_count, found.encoding, self.hub.settings.store_inputs
        )
        await passes.note(self.hub, "repaired")
        audit = Audit(self.hub)
        done: Shelf[Plan] = Shelf()
        unresolved: dict[str, str] = {}
        await self._repair_hub(found, audit)
        for _ in range(MAX_ROUNDS):
            worked = False
            sent: list[SentTimer] = []
            async for verdict, plan in self.plans(found, "receipts"):
                if plan.unresolved:
                    unresolved[plan.instance_id] = plan.unresolved
                if not plan.is_empty:
                    await apply(self.hub, plan, verdict, audit)
                    done.put(plan.instance_id, plan)
                    self.repairing(len(done))
                    worked = True
                    sent += [] if found.sees_all else self._timers(plan)
                    if len(sent) >= TIMERS_AT_ONCE:
                        await note_timers(self.hub, sent)
                        sent.clear()
            await note_timers(self.hub, sent)
            found = await self.examine()
            if not worked or found.is_clean:
                break
        left = {line.instance_id: unresolved.get(line.instance_id, line.because) for line in found.lines(True)}
        return Repaired(done, left, found, audit.place)

    def _timers(self, plan: Plan) -> list[SentTimer]:
        """What is there and invisible once the plan is carried out."""
        found = [timer_of(step.task, step.due, self.hub) for step in plan.steps if isinstance(step, Send)]
        return [timer for timer in found if timer is not None]

    async def _repair_hub(self, found: Examination, audit: Audit) -> None:
        if found.unaddressed:
            snapshot = await Snapshot.take(self.hub, "receipts")  # a message is deleted by the receipt of its last get
            try:
                for message in snapshot.unaddressed():
                    await apply(self.hub, *_removal(message), audit)
            finally:
                await snapshot.release()
                snapshot.close()
        await reset_app_lease(self.hub)


def _for_a_person(verdict: Verdict) -> str:
    """What no step mends."""
    return "; ".join(x.because for x in verdict.findings if x.name == "locked-by-nobody")


async def _unreadable(snapshot: Snapshot, instance_id: str, error: Exception) -> Instance:
    """Why an instance cannot be read: one that makes no sense must not hide the others."""
    why = f"what is stored of it makes no sense: {type(error).__name__}: {str(error)[:200]}"
    with suppress(*UNREADABLE):
        found = await snapshot.instance(instance_id)
        return Instance(instance_id, problems=found.problems or (why,))
    return Instance(instance_id, problems=(why,))


def _removal(message: Message) -> tuple[Plan, Verdict]:
    facts = Facts(Instance("", messages=(message,)))
    verdict = Verdict(facts, "orphan", "error-loop", "unreadable-message", message.problem)
    return Plan("", "unreadable-message", (Delete(message),)), verdict


@dataclass(frozen=True)
class Repaired:
    """What a repair did, what it left, and the last look."""

    plans: Shelf[Plan]
    left: dict[str, str]  # instance -> why
    second_look: Examination
    audit: str

    @property
    def is_clean(self) -> bool:
        return not self.left and self.second_look.is_clean


async def reset_app_lease(hub: TaskHub) -> bool:
    """Clears a swap of the app lease that nobody can finish any more; True when there was one.

    A make-primary request on an expired lease keeps every host waiting for ever.
    """
    names = hub.names
    try:
        text = await hub.account.blobs.get(names.app_lease, names.app_lease_info)
    except NotFound:
        return False
    if b'"DesiredSwapId":"' not in text.replace(b" ", b"") or await hub.account.blobs.leased(names.app_lease, None):
        return False
    await hub.account.blobs.put(names.app_lease, names.app_lease_info, b"{}")
    return True
