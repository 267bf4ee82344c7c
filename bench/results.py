"""The figures of one run: collected, compared with what they are to reach, drawn as a table or as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CHAINS = "five-city chains/s"
OVER_SDK, OVER_ONE = "chains/s over the SDK's alone", "chains/s over one worker's"
BEST = "chains/s over one worker's, at best"
CPU = ("CPU per chain, ms of the host", "CPU per chain, ms of the workers", "CPU per chain, ms of the client")
LATENCY = "latency over HTTP, median ms"
NAMES = 40  # letters of a figure's name
WORK = "CPU-bound activities/s"
WORK_OVER_ALONE, WORK_OVER_ONE = "CPU-bound/s over the work alone", "CPU-bound/s over one worker's"
SDK = "SDK's executor alone, five-city chains/s"
WORK_ALONE = "the CPU-bound activity alone, calls/s"
# Parts that are taken in rounds beside a ceiling, and the figure that is compared.
COMPARED = {"chain": CHAINS, "work": WORK}
RATIOS = {CHAINS: (SDK, OVER_SDK, OVER_ONE), WORK: (WORK_ALONE, WORK_OVER_ALONE, WORK_OVER_ONE)}
PUTS, UPSERTS = "plain client, queue puts/s", "plain client, table upserts/s"
# What the real extension was measured at on Azurite (a 2-core machine, in-memory data), and the plain client beside it.
REAL = {
    CHAINS: (6.6, 9.8),
    "sequential activities/s": (4.0, 28.0),
    "fan-out of 1,000, activities/s": (29.0, 37.0),
    "external events/s": (31.0, 35.0),
}
REAL_LATENCY_MS = (56.0, 66.0)
REAL_PUTS, REAL_UPSERTS = (450.0, 670.0), (585.0, 735.0)


@dataclass
class Column:
    """What was measured on one account with one number of workers."""

    storage: str
    workers: int
    measured: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.storage}, {self.workers} worker{'s' if self.workers > 1 else ''}"

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.measured.setdefault(name, []).append(value)

    def median(self, name: str) -> float | None:
        values = self.measured.get(name)
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Target:
    """One figure and what it is to reach."""

    name: str  # of the figure
    text: str
    value: float
    limit: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass
class Results:
    """Everything one run measured."""

    columns: list[Column] = field(default_factory=list)
    ceilings: dict[str, list[float]] = field(default_factory=dict)
    interrupted: bool = False

    def ceiling(self, name: str) -> float | None:
        values = self.ceilings.get(name)
        return statistics.median(values) if values else None

    def add_ceilings(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.ceilings.setdefault(name, []).append(value)

    @property
    def failures(self) -> list[str]:
        return [f"{column.title}: {text}" for column in self.columns for text in column.failures]

    # what is to be reached

    def targets(self) -> list[Target]:
        """All targets that this run can judge."""
        found: list[Target] = []
        for column in self.columns:
            found += self._azurite_targets(column) if column.storage == "azurite" else self._embedded_targets(column)
        return found

    def _embedded_targets(self, column: Column) -> list[Target]:
        found: list[Target] = []

        def add(name: str, value: float | None, limit: float | None, at_most: bool = False, why: str = "") -> None:
            if value is not None and limit is not None:
                found.append(Target(name, f"{column.title}: {name}{why}", value, limit, at_most))

        get = column.median
        add(WORK_OVER_ONE, get(WORK_OVER_ONE), 1.6)
        small = get("fan-out of 1,000, ms per activity")
        add(OVER_SDK, get(OVER_SDK) if column.workers == 1 else None, 0.5)
        add(OVER_ONE, get(OVER_ONE), 1.6)
        add("sequential activities/s", get("sequential activities/s"), 350)
        add("fan-out of 1,000, activities/s", get("fan-out of 1,000, activities/s"), 1_000)
        add("fan-out of 10,000, seconds", get("fan-out of 10,000, seconds"), 10, at_most=True)
        add("fan-out of 10,000, ms per activity", get("fan-out of 10,000, ms per activity"),
            small and small * 1.2, at_most=True, why=", 1.2 times of 1,000's")  # fmt: skip
        add("external events/s", get("external events/s"), 500)
        add(LATENCY, get(LATENCY), 10, at_most=True)
        return found

    def _azurite_targets(self, column: Column) -> list[Target]:
        scale = self.azurite_scale()
        if scale is None or column.workers != 1:
            return []
        found = [
            Target(name, f"{column.title}: {name}, twice the extension's", value, 2 * statistics.mean(real) * scale)
            for name, real in REAL.items()
            if (value := column.median(name)) is not None
        ]
        latency = column.median(LATENCY)
        if latency is not None:
            limit = statistics.mean(REAL_LATENCY_MS) / 2 / scale
            name, text = LATENCY, f"{column.title}: latency, half the extension's, ms"
            found.append(Target(name, text, latency, limit, at_most=True))
        return found

    def azurite_scale(self) -> float | None:
        """How fast this Azurite is, compared with the one that the real extension was measured on."""
        puts, upserts = self.ceiling(PUTS), self.ceiling(UPSERTS)
        if puts is None or upserts is None:
            return None
        return statistics.mean([puts / statistics.mean(REAL_PUTS), upserts / statistics.mean(REAL_UPSERTS)])

    def compare(
        self, columns: Sequence[Column], name: str, rates: Mapping[int, float], alone: Mapping[str, float]
    ) -> None:
        """Notes the ratios of one round: what was reached by number of workers, and what one process did right before.

        Beside two workers' chains stands what arithmetic leaves them (`best_ratio`).
        """
        ceiling, over_alone, over_one = RATIOS[name]
        first = next((column for column in columns if column.workers == 1), None)
        for column in columns:
            if not (rate := rates.get(column.workers)):
                continue
            column.add({over_alone: rate / alone[ceiling]})
            if column.workers > 1 and rates.get(1):
                column.add({over_one: rate / rates[1]})
                if name == CHAINS and first is not None and first.median(CPU[0]):
                    host, workers, client = (first.median(part) or 0.0 for part in CPU)
                    column.add({BEST: best_ratio(host, workers, client, column.workers, os.cpu_count() or 1)})

    def goals(self, is_azurite: bool) -> dict[str, Target]:
        """By figure's name what it is to reach on embedded accounts, or on Azurite."""
        chosen = [column for column in self.columns if (column.storage == "azurite") == is_azurite]
        judged = self._azurite_targets if is_azurite else self._embedded_targets
        return {target.name: target for column in reversed(chosen) for target in judged(column)}

    # how it is shown

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "machine": machine(),
            "ceilings": {name: self.ceiling(name) for name in self.ceilings},
            "azurite_scale": self.azurite_scale(),
            "figures": {one.title: {name: one.median(name) for name in one.measured} for one in self.columns},
            "all_values": {one.title: one.measured for one in self.columns} | {"ceilings": self.ceilings},
            "targets": [
                {"text": one.text, "value": one.value, "limit": one.limit, "at_most": one.at_most, "met": one.met}
                for one in self.targets()
            ],
            "failures": self.failures,
        }

    def drawn(self) -> str:
        """One table with what is to be reached beside it, the ceilings under it, and what was reached."""
        names = list(dict.fromkeys(name for column in self.columns for name in column.measured))
        goals = {title: self.goals(title != "embedded") for title in ("embedded", "Azurite")}
        titles = [
            *(one.title for one in self.columns),
            *(f"{title}: target" for title, found in goals.items() if found),
        ]
        lines = [machine(), "", "".ljust(NAMES) + "".join(f"{title:>20}" for title in titles)]
        for name in names:
            cells = [_number(column.median(name)) for column in self.columns]
            cells += [_goal(found.get(name)) for found in goals.values() if found]
            lines.append(name.ljust(NAMES) + "".join(f"{cell:>20}" for cell in cells))
        lines += ["", "Ceilings in the same run"]
        lines += [f"{name:<{NAMES}}{_number(self.ceiling(name)):>20}" for name in self.ceilings]
        lines += ["", "Targets"] + [_judged(target) for target in self.targets()]
        return "\n".join([*lines, *(f"FAILED  {text}" for text in self.failures)])


def best_ratio(host: float, workers: float, client: float, processes: int, cores: int) -> float:
    """How many times one worker's throughput that many workers can reach at best, from each part's CPU per unit.

    One host process does its part on one core, and all of them share the machine's.
    """
    one = min(1 / max(host, workers), cores / (host + workers + client))
    return min(1 / host, processes / workers, cores / (host + workers + client)) / one


def _goal(target: Target | None) -> str:
    return "–" if target is None else f"{'≤' if target.at_most else '≥'} {_number(target.limit)}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"


def _judged(target: Target) -> str:
    word = "≤" if target.at_most else "≥"
    mark = "met   " if target.met else "missed"
    return f"  {mark}  {target.text:<74}{_number(target.value):>10} {word} {_number(target.limit)}"


def machine() -> str:
    """What it was measured on."""
    return f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores"
