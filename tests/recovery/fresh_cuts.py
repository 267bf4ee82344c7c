"""Hubs cut by the geo pair, in shapes that no recording holds: what the doctor says, and what a host then does."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace

from lab.simulation.plan import Plan, draw
from lab.simulation.run import Ground, Simulation
from recovery.examination import Doctor
from recovery.snapshot import Snapshot
from taskhub.accounts.embedded import EmbeddedAccount

HOURS = 6  # longer than any timer of the app


@dataclass(frozen=True)
class Seen:
    """One instance of a fresh cut."""

    seed: int
    instance_id: str
    kind: str
    rule: str
    because: str
    moved: bool  # the history grew, or began
    ended: bool

    @property
    def is_child(self) -> bool:
        return "-c" in self.instance_id or ":" in self.instance_id

    @property
    def agrees(self) -> bool:
        """Whether the host did what the verdict says, nobody doing anything from outside.

        A verdict is about one instance as it lies there; what others do to it afterwards is no disagreement: who goes
        on may call an entity, a parent that is behind begins a lost child anew, a child that goes on may then wait.
        """
        if self.rule == "entity" and self.kind == "waiting":
            return True
        if self.rule == "history-lost" and self.is_child:
            return True
        if self.rule == "waits-for-stuck-child":  # of several children one may answer meanwhile
            return not self.ended
        if self.kind in ("goes-on", "repeats"):
            return self.moved or "goes on by itself" in self.because
        if self.kind == "lost" and self.rule == "partly-lost":
            return self.moved
        if self.kind == "waiting":  # for a timer it goes on, for somebody outside it does not
            return self.moved == (self.rule == "awaited-queued")
        if self.kind in ("stuck", "lost"):
            return not self.ended
        return True


class Unrepaired(Simulation):
    """The simulated failover without doctor and journal: the verdicts, and what became of each instance."""

    def __init__(self, plan: Plan, ground: Ground) -> None:
        super().__init__(replace(plan, way_home=False), ground, doctor=False, reconcile=False)
        self.judged: list[Seen] = []

    async def _recover(self, account: EmbeddedAccount) -> None:
        hub = self._hub(account)
        found = await Doctor(hub, self.ground.app.replay).examine()
        verdicts = {line.instance_id: line for line in found.lines()}
        before = await self._histories(account)
        engine = self._engine(account)
        await engine.start()
        await asyncio.sleep(HOURS * 3600)
        await engine.stop()
        after = await self._histories(account)
        for name, line in verdicts.items():
            events, ended = after.get(name, ((), False))
            self.judged.append(
                Seen(
                    self.plan.seed,
                    name,
                    line.kind,
                    line.rule,
                    line.because,
                    events != before.get(name, ((), 0))[0],
                    ended,
                )
            )

    async def _histories(self, account: EmbeddedAccount) -> dict[str, tuple[tuple[object, ...], bool]]:
        snapshot = await Snapshot.take(self._hub(account), "peek")
        found = {}
        async for glance in snapshot.glances():
            facts = await snapshot.facts(glance.instance_id)
            content = tuple((row["ExecutionId"], row["RowKey"], row["EventType"]) for row in facts.instance.history)
            found[glance.instance_id] = content, facts.end_event is not None
        return found

    async def _check(self, account: EmbeddedAccount) -> None:
        """Nothing is promised without a repair."""


def cut(seed: int, ground: Ground) -> list[Seen]:
    """The instances of one fresh cut with a lag of seconds."""
    plan = draw(seed)
    lag = random.Random(f"lag {seed}").choice((0.5, 2.0, 5.0, 10.0))
    run = Unrepaired(replace(plan, lag=lag), ground)
    run.play()
    return run.judged
