"""What a drill is, and how it is run: the value, the one function that executes it, and the report.

A drill is data: gate, work, fault, recovery, verdict, restore, each a list of step names. An executor knows what the
names mean: one on a geo-replicated pair on this machine, or `azure_drill` on a real account. Both write this report.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Drill:
    """A question, and the steps that answer it."""

    name: str
    question: str
    planned: bool
    gate: tuple[str, ...]
    work: tuple[str, ...]
    fault: tuple[str, ...]
    recovery: tuple[str, ...]
    verdict: tuple[str, ...]
    restore: tuple[str, ...] = ()

    @property
    def phases(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The steps in the order in which they are run."""
        return (
            ("gate", self.gate),
            ("work", self.work),
            ("fault", self.fault),
            ("recovery", self.recovery),
            ("verdict", self.verdict),
            ("restore", self.restore),
        )


PLANNED_FAILOVER = Drill(
    name="planned failover",
    question="Can the standby take over everything that is in flight, and give it back, without losing anything?",
    planned=True,
    gate=("only the home region works", "the copy is live"),
    work=("start instances that wait",),
    fault=("stop the active region",),
    recovery=("fail the account over", "start the standby", "the app answers"),
    verdict=("raise the events", "every accepted start has a verdict"),
    restore=("fail back home",),
)

UNPLANNED_FAILOVER = Drill(
    name="unplanned failover",
    question="What do we lose, and for how long, if the primary region disappears now?",
    planned=False,
    gate=("only the home region works", "the copy is live"),
    work=("start instances that wait",),
    fault=("stop the active region",),
    recovery=("fail the account over", "start the standby", "the app answers"),
    verdict=("raise the events", "every accepted start has a verdict"),
    restore=("restore geo-redundancy", "fail back home"),
)

DRILLS = {drill.name: drill for drill in (PLANNED_FAILOVER, UNPLANNED_FAILOVER)}


@dataclass
class Facts:
    """What the steps of a drill learn: the copy's age before the fault, and each accepted instance's end."""

    last_sync_time: str | None = None
    verdicts: dict[str, str] = field(default_factory=dict)


class Executor(Protocol):
    """Knows what the step names mean on one kind of deployment."""

    name: str

    def steps(self) -> Mapping[str, Callable[[], str]]:
        """Every step it can do; a step returns what it saw, and raises StepFailed when it did not hold."""
        ...

    def facts(self) -> Facts:
        """What the steps learnt."""
        ...


class StepFailed(Exception):
    """A step did not hold: what was seen."""


class Clock(Protocol):
    """Tells the time in UTC."""

    def now(self) -> datetime: ...


@dataclass(frozen=True)
class StepReport:
    """One step as it went."""

    phase: str
    step: str
    seconds: float
    passed: bool
    seen: str


@dataclass(frozen=True)
class DrillReport:
    """What happened, in the order in which it happened."""

    drill: str
    question: str
    executor: str
    finished: str
    passed: bool
    steps: list[StepReport] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)

    @property
    def outage_seconds(self) -> float:
        """From the stop of the region that worked to the first answer of the other."""
        return sum(step.seconds for step in self.steps if step.phase in ("fault", "recovery"))

    @property
    def verdicts(self) -> Counter[str]:
        """How many instances came to which end."""
        return Counter(self.facts.verdicts.values())

    def document(self) -> dict[str, Any]:
        """The report as data, under the names that the lab's drill uses for the same things."""
        outage = [step for step in self.steps if step.phase in ("fault", "recovery")]
        return {
            "drill": self.drill,
            "question": self.question,
            "executor": self.executor,
            "finished": self.finished,
            "instances": len(self.facts.verdicts),
            "accepted": {"starts": len(self.facts.verdicts)},
            "verdicts": dict(self.verdicts),
            "recovery_point": {
                "last_sync_time": self.facts.last_sync_time,
                "instances": self.verdicts["lost"] + self.verdicts["stuck"],
            },
            "recovery_time": {
                "seconds": round(self.outage_seconds, 2),
                "steps": [{"step": step.step, "seconds": round(step.seconds, 2)} for step in outage],
            },
            "problems": [f"{step.step}: {step.seen}" for step in self.steps if not step.passed],
            "requests": [{"instance": name, "verdict": end} for name, end in self.facts.verdicts.items()],
            "passed": self.passed,
            "steps": [asdict(step) for step in self.steps],
        }

    def write(self, path: Path) -> None:
        """Writes the report as JSON."""
        path.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")

    def lines(self) -> list[str]:
        """The report as text, one line a step."""
        rows = [
            f"{'ok  ' if s.passed else 'FAIL'} {s.phase:8} {s.step:38} {s.seconds:8.0f} s  {s.seen}" for s in self.steps
        ]
        ends = ", ".join(f"{count} {name}" for name, count in sorted(self.verdicts.items())) or "no instance"
        summary = f"{self.drill} on {self.executor}: {'passed' if self.passed else 'FAILED'}"
        return [self.question, *rows, f"{summary}, {self.outage_seconds:.0f} s without an app, {ends}"]


def run_drill(drill: Drill, executor: Executor, clock: Clock, say: Callable[[str], None]) -> DrillReport:
    """Runs the steps in order and stops at the first that fails, except in the verdict.

    A failed gate ends the drill before anything is broken; a failed verdict is reported and everything is still put
    back; a recovery that fails is an outage like any other, and the commands and the runbook take over.
    """
    known, reports = executor.steps(), list[StepReport]()
    for phase, names in drill.phases:
        if any(not report.passed for report in reports if report.phase != "verdict"):
            break
        for name in names:
            say(f"{phase}: {name}")
            reports.append(_run_step(phase, name, known[name], clock))
            if not reports[-1].passed and phase != "verdict":
                break
    passed = all(report.passed for report in reports) and len(reports) == sum(len(names) for _, names in drill.phases)
    finished = clock.now().isoformat(timespec="seconds")
    return DrillReport(drill.name, drill.question, executor.name, finished, passed, reports, executor.facts())


def _run_step(phase: str, name: str, step: Callable[[], str], clock: Clock) -> StepReport:
    began = clock.now()
    try:
        seen, passed = step(), True
    except StepFailed as failure:
        seen, passed = str(failure), False
    return StepReport(phase, name, (clock.now() - began).total_seconds(), passed, seen)
