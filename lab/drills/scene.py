"""What a running drill knows: its options, the two regions, the pair, the clients, and what has happened so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from lab import settings
from lab.drills.client import Answer, Clients
from lab.drills.ground_truth import Truth
from lab.drills.outcome import Outcome
from lab.drills.region import ROOT, Region
from lab.drills.timeline import Timeline
from lab.drills.workload import Workload, plan
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
    recover: bool = False  # with doctor and journal
    report: Path = Path(".")


@dataclass
class Phase:
    """One step, and how long it took in real time."""

    name: str
    began: float
    seconds: float


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
    pair: GeoPair
    log: Timeline  # follows the primary's log while the drill runs
    clients: Clients = field(default_factory=Clients)
    followed: int = 0  # sequence up to which `log` has read
    began: float = 0.0  # real time when the work began
    accepted: dict[tuple[str, int], Answer] = field(default_factory=dict)  # (instance, number of its action)
    lost_at: float = 0.0  # real time
    loss: datetime | None = None  # as timestamps in tables tell it
    lost: list[OnItsWay] = field(default_factory=list)
    last_sync_times: dict[str, float] = field(default_factory=dict)  # seconds of the drill's clock
    truths: dict[str, Truth] = field(default_factory=dict)
    raised_again: dict[str, Answer] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    repaired: int = 0  # instances, by the doctor
    started_again: int = 0  # by the journal
    raised_by_journal: int = 0
    quiet_since: float = 0.0  # real time of the last change in the hub
    phases: list[Phase] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """Where accepted requests are on record; it survives the region."""
        return self.folder / "journal"

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
        await self.clients.close()
        for account in (self.pair.primary, self.pair.secondary):
            if account is not None:
                await account.close()


def build(options: Options, planned: bool, folder: Path, screen: Screen) -> Scene:
    """Everything deployed, nothing started."""
    durable = settings.load(settings.Flags(app=ROOT)).durable
    names = HubNames(durable.hub, durable.partition_count)
    workload = plan(options.instances, options.lag, options.seed)
    pair = _pair(options, folder, Timeline(names, workload))
    given = {"JOURNAL_STORAGE": str(folder / "journal")} if options.recover else {}
    west = Region("West Europe", "durable-failover-west", folder / "west-europe.db", folder, settings=given)
    north = Region("North Europe", "durable-failover-north", folder / "north-europe.db", folder, settings=given)
    return Scene(options, planned, folder, screen, workload, names, west, north, pair, Timeline(names, workload))


def _pair(options: Options, folder: Path, timeline: Timeline) -> GeoPair:
    lag = DISTRIBUTIONS[options.distribution](timedelta(seconds=options.lag), options.seed)
    return create_pair(folder / "west-europe.db", folder / "north-europe.db", ACCOUNT, lag, time_of=timeline.times)


async def until(condition: Callable[[], bool], every: float = 0.02) -> None:
    """Returns when the condition holds."""
    while not condition():
        await asyncio.sleep(every)
