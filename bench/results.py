"""The figures of one run: collected, compared with what they are to reach, drawn as a table or as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CHAINS = "five-city chains/s"
OVER_SDK, OVER_ONE = "chains/s over the SDK's alone", "chains/s over one worker's"
SDK = "SDK's executor alone, five-city chains/s"
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

        def add(text: str, value: float | None, limit: float | None, at_most: bool = False) -> None:
            if value is not None and limit is not None:
                found.append(Target(f"{column.title}: {text}", value, limit, at_most))

        get = column.median
        small = get("fan-out of 1,000, ms per activity")
        add(OVER_SDK, get(OVER_SDK) if column.workers == 1 else None, 0.5)
        add(OVER_ONE, get(OVER_ONE), 1.6)
        add("sequential activities/s", get("sequential activities/s"), 350)
        add("fan-out of 1,000, activities/s", get("fan-out of 1,000, activities/s"), 1_000)
        add("fan-out of 10,000, seconds", get("fan-out of 10,000, seconds"), 10, at_most=True)
        add("ms per activity of 10,000, at most 1.2 times of 1,000", get("fan-out of 10,000, ms per activity"),
            small and small * 1.2, at_most=True)  # fmt: skip
        add("external events/s", get("external events/s"), 500)
        add("latency over HTTP, median ms", get("latency over HTTP, median ms"), 10, at_most=True)
        return found

    def _azurite_targets(self, column: Column) -> list[Target]:
        scale = self.azurite_scale()
        if scale is None or column.workers != 1:
            return []
        found = [
            Target(f"{column.title}: {name}, twice the extension's", value, 2 * statistics.mean(real) * scale)
            for name, real in REAL.items()
            if (value := column.median(name)) is not None
        ]
        latency = column.median("latency over HTTP, median ms")
        if latency is not None:
            limit = statistics.mean(REAL_LATENCY_MS) / 2 / scale
            found.append(Target(f"{column.title}: latency, half the extension's, ms", latency, limit, at_most=True))
        return found

    def azurite_scale(self) -> float | None:
        """How fast this Azurite is, compared with the one that the real extension was measured on."""
        puts, upserts = self.ceiling(PUTS), self.ceiling(UPSERTS)
        if puts is None or upserts is None:
            return None
        return statistics.mean([puts / statistics.mean(REAL_PUTS), upserts / statistics.mean(REAL_UPSERTS)])

    def compare(self, columns: Sequence[Column], rates: Mapping[int, float], alone: float) -> None:
        """Notes the ratios of one round: chains per second by number of workers, and the SDK's right before."""
        for column in columns:
            if rate := rates.get(column.workers):
                column.add({OVER_SDK: rate / alone})
                if column.workers > 1 and rates.get(1):
                    column.add({OVER_ONE: rate / rates[1]})

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
        """One table, the ceilings, the ratios, and what was reached."""
        names = list(dict.fromkeys(name for column in self.columns for name in column.measured))
        lines = [machine(), ""]
        lines += _table("", [one.title for one in self.columns], names, lambda name, at: self.columns[at].median(name))
        lines += ["", "Ceilings in the same run"]
        lines += [f"  {name:<52}{_number(self.ceiling(name)):>12}" for name in self.ceilings]
        lines += ["", "Targets"] + [_judged(target) for target in self.targets()]
        return "\n".join([*lines, *(f"FAILED  {text}" for text in self.failures)])


def _table(corner: str, titles: list[str], names: list[str], value: Callable[[str, int], float | None]) -> list[str]:
    lines = [corner.ljust(38) + "".join(f"{title:>22}" for title in titles)]
    for name in names:
        lines.append(name.ljust(38) + "".join(f"{_number(value(name, at)):>22}" for at in range(len(titles))))
    return lines


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
