"""What a running drill knows: its options, the two regions, the pair, the clients, and what has happened so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lab import settings
from lab.drills.client import Answer, Clients
from lab.drills.ground_truth import State, Truth
from lab.drills.outcome import Outcome
from lab.drills.outside import Outside
from lab.drills.region import ROOT, Region
from lab.drills.repeats import Runs
from lab.drills.timeline import Timeline
from lab.drills.workload import Workload, plan, root_of
from lab.errors import LabError
from lab.geo_pair import GeoPair, OnItsWay, create_pair
from lab.lag import DISTRIBUTIONS
from lab.progress import Screen
from taskhub.accounts.embedded import EmbeddedAccount
from taskhub.layout import HubNames

ACCOUNT = "durablefailover"


class DrillFailed(LabError):
    """The drill cannot go on: something else than the planned failure happened."""


@dataclass(frozen=True)
class Options:
    """What the command line says; `lag` is in seconds."""

    instances: int = 200
    lag: float = 5.0
    distribution: str = "long-tailed"
    seed: int = 0
    keep: bool = False
    stepwise: bool = False
    report: Path = Path(".")
    doctor: bool = True  # repairs the promoted hub before the standby starts
    journal: bool = True  # brings back what was accepted and did not arrive
    only_events: bool = False  # nothing but instances that wait for an event


@dataclass
class Phase:
    """One step, and how long it took in real time."""

    name: str
    began: float
    seconds: float
    observes: bool = False  # it only looks, for the verdict; nobody would wait for it


@dataclass
class Scene:
    """Filled in from top to bottom while the drill runs."""

    options: Options
    planned: bool
    folder: Path
    screen: Screen
    workload: Workload
    names: HubNames
    west: Region
    north: Region
    outside: Outside
    pair: GeoPair
    log: Timeline  # follows the primary's log while the drill runs
    clients: Clients = field(default_factory=Clients)
    followed: int = 0  # sequence up to which `log` has read
    began: float = 0.0  # real time when the work began
    accepted: dict[tuple[str, int], Answer] = field(default_factory=dict)  # (instance, number of its action)
    lost_at: float = 0.0  # real time
    loss: datetime | None = None  # as timestamps in tables tell it
    lost: list[OnItsWay] = field(default_factory=list)
    left_behind: EmbeddedAccount | None = None  # the account that was the primary before
    last_sync_times: dict[str, float] = field(default_factory=dict)  # seconds of the drill's clock
    states: dict[str, State] = field(default_factory=dict)  # what arrived, also of children and entities
    truths: dict[str, Truth] = field(default_factory=dict)  # what becomes of what arrived when nobody helps
    expected: dict[str, Truth] = field(default_factory=dict)  # the same with those of doctor and journal that take part
    runs: Runs = field(default_factory=Runs)  # of activities, before the loss
    repeated_without: int = 0  # activities that run again when nobody helps, foretold
    repeated: int = 0  # that did run again
    world: dict[str, Any] = field(default_factory=dict)  # what happened outside, in the end
    raised_again: dict[str, Answer] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    repaired: int = 0  # instances, by the doctor
    started_again: int = 0  # by the journal
    raised_by_journal: int = 0
    reported_by_journal: int = 0  # signals, which only a person can compare
    quiet_since: float = 0.0  # real time when the last instance ended
    phases: list[Phase] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """Where accepted requests are on record; it survives the region."""
        return self.folder / "journal"

    @property
    def has_tools(self) -> bool:
        """Whether doctor or journal take part."""
        return not self.planned and (self.options.doctor or self.options.journal)

    @property
    def promoted(self) -> EmbeddedAccount:
        """The account as it is served now."""
        return self.pair.primary

    def lose(self) -> None:
        """Notes that West Europe is gone."""
        self.lost_at, self.loss = time.monotonic(), datetime.now(timezone.utc)

    async def close(self) -> None:
        """Ends what is still running."""
        self.west.kill()
        self.north.kill()
        self.outside.close()
        await self.clients.close()
        for account in (self.pair.primary, self.pair.secondary):
            if account is not None:
                await account.close()


def build(options: Options, planned: bool, folder: Path, screen: Screen) -> Scene:
    """Everything deployed, nothing started."""
    durable = settings.load(settings.Flags(app=ROOT)).durable
    names = HubNames(durable.hub, durable.partition_count)
    workload = plan(options.instances, options.lag, options.seed, options.only_events)
    log = Timeline(names, workload)
    outside = Outside(folder, (root_of(one) for one in workload.errands))
    given = {**outside.settings, "JOURNAL_STORAGE": str(folder / "journal") if _has_journal(options, planned) else ""}
    west = Region("West Europe", "durable-failover-west", folder / "west-europe.db", folder, settings=given)
    north = Region("North Europe", "durable-failover-north", folder / "north-europe.db", folder, settings=given)
    pair = _pair(options, folder, log)
    return Scene(options, planned, folder, screen, workload, names, west, north, outside, pair, log)


def _has_journal(options: Options, planned: bool) -> bool:
    return options.journal and not planned


def _pair(options: Options, folder: Path, timeline: Timeline) -> GeoPair:
    lag = DISTRIBUTIONS[options.distribution](timedelta(seconds=options.lag), options.seed)
    return create_pair(folder / "west-europe.db", folder / "north-europe.db", ACCOUNT, lag, time_of=timeline.times)


async def until(condition: Callable[[], bool], every: float = 0.02) -> None:
    """Returns when the condition holds."""
    while not condition():
        await asyncio.sleep(every)
