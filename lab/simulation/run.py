"""One simulated failover: random work, hosts that crash, a region lost at any moment, and the whole recovery.

Everything runs in this process on accounts in memory under a virtual clock, so that a seed gives the same run again.
Who accepted a request keeps it in the journal; what must come of it in the end is the same for any seed: each
accepted request has its right result, each effect happened, no message is left, and the doctor finds nothing; what
cannot be put right is reported.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.engine import Engine, Identity, hub_settings
from lab.function_index import FunctionIndex
from lab.geo_pair import GeoPair
from lab.host_json import DurableSettings
from lab.lag import LongTailedLag
from lab.simulation import checks
from lab.simulation.parts import Executions, Killed, MemoryRecords, dying_after, ids_of, key_of, kill
from lab.simulation.plan import Plan, Request, Signal
from lab.simulation.programs import Raise
from lab.virtual_time import VirtualClock, run
from lab.worker.local import LocalWorker
from recovery.examination import Doctor, Repaired
from recovery.journal import Journal, as_sent
from recovery.matching import NAMESAKE, Outcome
from recovery.reconcile import Reconciler
from recovery.reconciliation import Reconciliation
from recovery.replay import load_app
from taskhub.accounts import Account
from taskhub.accounts.embedded import EmbeddedAccount, open_embedded
from taskhub.accounts.replication import READ_ONLY
from taskhub.client import TaskHubClient
from taskhub.errors import InstanceNotFound, InvalidOperation
from taskhub.hub import TaskHub
from taskhub.messages import EXECUTION_STARTED

APP = Path(__file__).parents[1] / "simulation_app"
DURABLE = DurableSettings(
    hub="Simulation", partition_count=2, control_queue_visibility=timedelta(seconds=20),
    work_item_queue_visibility=timedelta(seconds=20),
)  # fmt: skip
PATIENCE = timedelta(days=3)  # virtual; the longest deadline is hours
MAX_LATER_LOOKS = 6
LONGEST_PAUSE = 600.0  # seconds between two looks of somebody who waits


@dataclass
class Verdict:
    """What was wrong at the end; nothing, if all went well."""

    accepted: int = 0
    lost_without: int = 0  # units of storage of which the last writes had not been replicated
    reported: int = 0  # requests that the recovery could not answer for, and said so
    problems: list[str] = field(default_factory=list)


class Ground:
    """What all runs share: the app, loaded for the worker and once more for the doctor, who replays its code."""

    def __init__(self) -> None:
        self.worker = LocalWorker(APP)
        self.world: Any = sys.modules["function_app"]  # holds the effects of what the worker runs
        self.app = load_app(APP)
        self.functions = FunctionIndex(self.worker.functions)


class _Noted(Reconciler):
    """Notes what it raises, for the report of one that is killed is lost."""

    raised: set[tuple[str, str]]

    async def _do(self, outcome: Outcome) -> None:
        if outcome.state == "raised":
            self.raised.add((outcome.entry.instance_id, outcome.entry.name))
        await super()._do(outcome)


class Simulation:
    """One run of a plan. `doctor` and `reconcile` switch parts of the recovery off, to see what they are for."""

    def __init__(self, plan: Plan, ground: Ground, doctor: bool = True, reconcile: bool = True) -> None:
        self.plan = plan
        self.ground = ground
        self.with_doctor = doctor
        self.with_reconcile = reconcile
        self.verdict = Verdict()
        self.executions = Executions()
        self.seen = checks.World(executed=self.executions.ids)
        self.results = checks.Results()

    def play(self) -> Verdict:
        """Plays the plan to its end."""
        self.ground.world.reset()
        with ids_of(self.plan.seed):
            run(self._main, threads=False)
        return self.verdict

    async def _main(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.journal = Journal(MemoryRecords(), "Simulation", now=clock.now)
        west = open_embedded(":memory:", clock, name="simulated", replicated=True)
        north = open_embedded(":memory:", clock, name="simulated", state=READ_ONLY)
        pair = GeoPair(west, north, LongTailedLag(timedelta(seconds=self.plan.lag), self.plan.seed))
        await self._hub(west).create()
        pair.replicate_until(clock.now() + timedelta(days=1))  # the hub is older than any lag
        await self._work_until_lost(west)
        pair.fail_over(planned=False, now=clock.now())
        self.verdict.lost_without = len({item.write.unit for item in pair.lost_writes()})
        pair.let_visibility_end()
        await self._recover(pair.primary)
        if self.plan.way_home:
            await self._check(pair.primary)
            await self._go_home(pair)
        await self._check(pair.primary)

    # before the loss

    async def _work_until_lost(self, account: Account) -> None:
        clients = [asyncio.create_task(self._client(account, request)) for request in self.plan.requests]
        clients += [asyncio.create_task(self._signal(account, signal)) for signal in self.plan.signals]
        for moment in (*self.plan.crashes, self.plan.loss):
            if moment > self.plan.loss:
                continue
            engine = self._engine(account)
            await engine.start()
            await self._until(moment)
            await kill(engine)
        await _cancel(clients)

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))

    def _engine(self, account: Account) -> Engine:
        async def no_http(_: str) -> str:
            raise OSError("no HTTP in a simulation")

        engine = Engine(
            account, DURABLE, self.ground.worker, self.ground.functions, self.clock, Identity("simulated"), 30,
            lambda _: None, no_http, alone=True,
        )  # fmt: skip
        self.executions.watch(engine)
        return engine

    async def _client(self, account: Account, request: Request) -> None:
        """A client of the app: a request counts as accepted when both journal and hub have it."""
        await asyncio.sleep(request.at)
        client = TaskHubClient(self._hub(account))
        await self.journal.accept_start(request.instance_id, request.workflow, request.input)
        await client.start(request.workflow, request.instance_id, json.dumps(json.dumps(request.input)))
        self.seen.accepted[request.instance_id] = request
        await asyncio.gather(self._raise_events(client, request), self._suspend(client, request))

    async def _suspend(self, client: TaskHubClient, request: Request) -> None:
        """Suspends an instance for a while, unless it has ended; no journal knows of that."""
        if request.suspended is None:
            return
        for pause, ask in zip(request.suspended, (client.suspend, client.resume), strict=True):
            await asyncio.sleep(pause)
            with suppress(InvalidOperation, InstanceNotFound):
                await ask(request.instance_id, "simulated")

    async def _raise_events(self, client: TaskHubClient, request: Request) -> None:
        """Raises the events that were not acknowledged yet, each by somebody else."""
        top = request.instance_id
        left = [number for number in range(len(request.events)) if (top, number) not in self.seen.raised]
        await asyncio.gather(*(self._raise_one(client, request, number) for number in left))

    async def _raise_one(self, client: TaskHubClient, request: Request, number: int) -> None:
        event = request.events[number]
        await asyncio.sleep(event.after)
        if await self._is_ready(client, request, event):
            await self._raise(client, request.instance_id + event.to, event)
        self.seen.raised.add((request.instance_id, number))

    async def _raise(self, client: TaskHubClient, instance_id: str, event: Raise) -> None:
        try:
            await self.journal.accept_event(instance_id, event.name, event.data)
            await client.raise_event(instance_id, event.name, json.dumps(json.dumps(event.data)))
        except asyncio.CancelledError:  # nobody can tell whether it arrived; it will be raised again
            self.seen.doubtful.add((instance_id, json.dumps(event.data)))
            raise

    async def _is_ready(self, client: TaskHubClient, request: Request, event: Raise) -> bool:
        """Waits until there is somebody who can take the event; False when nobody will."""
        pause = 0.5
        while event.to or event.when:
            status = await client.status(request.instance_id + event.to)
            if status is not None and status.is_terminal:
                return False
            if status is not None and int(json.loads(status.custom_status or "0") or 0) >= event.when:
                return True
            above = await client.status(request.instance_id)
            if above is not None and above.is_terminal:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        return True

    async def _signal(self, account: Account, signal: Signal) -> None:
        await asyncio.sleep(signal.at)
        await self.journal.accept_signal(signal.entity, "add", signal.key)
        await TaskHubClient(self._hub(account)).signal_entity(signal.entity, "add", as_sent(signal.key))
        self.seen.signalled.add((signal.entity, signal.key))

    def _hub(self, account: Account) -> TaskHub:
        return TaskHub(account, hub_settings(DURABLE), self.clock)

    # after the loss

    async def _recover(self, account: EmbeddedAccount) -> None:
        await self.results.note(self._hub(account))
        if self.with_doctor:
            await self._surviving(self.plan.doctor_dies_after, account, self._see_the_doctor)
        first = self.plan.reconcile_first
        if self.with_reconcile and first:
            await self._surviving(self.plan.reconciler_dies_after, account, self._reconcile)
        engine = self._engine(account)
        await engine.start()
        await asyncio.sleep(5)
        if self.with_reconcile and not first:
            await self._surviving(self.plan.reconciler_dies_after, account, self._reconcile)
        engine = await self._crash_later(engine, account)
        await self._work_to_the_end(engine, list(self.seen.accepted.values()))
        for _ in range(MAX_LATER_LOOKS):  # what waits for a child can be raised once that has begun
            if not self.with_reconcile or not await self._reconcile(account):
                break
            await self._work_to_the_end(engine, list(self.seen.accepted.values()))
        await engine.stop()

    async def _crash_later(self, engine: Engine, account: EmbeddedAccount) -> Engine:
        for seconds in self.plan.later_crashes:
            await asyncio.sleep(seconds)
            await kill(engine)
            await self.results.note(self._hub(account))
            await asyncio.sleep(DURABLE.control_queue_visibility.total_seconds())
            engine = self._engine(account)
            await engine.start()
        return engine

    async def _work_to_the_end(self, engine: Engine, requests: list[Request]) -> None:
        """Clients do what they had not come to, and everything happens that can."""
        client = TaskHubClient(engine.hub)
        clients = [asyncio.create_task(self._raise_events(client, request)) for request in requests]
        await self._settle(engine)
        await _cancel(clients)
        await self.results.note(engine.hub)

    async def _surviving(
        self, dies_after: int | None, account: EmbeddedAccount, step: Callable[[EmbeddedAccount], Awaitable[object]]
    ) -> None:
        if dies_after is not None:
            try:
                await step(dying_after(account, dies_after))
            except Killed:
                pass
        await step(account)

    async def _see_the_doctor(self, account: EmbeddedAccount) -> None:
        hub = self._hub(account)
        doctor = Doctor(hub, self.ground.app.replay)
        found = await doctor.examine()
        for line in found.lines():
            is_gone = line.rule in ("history-lost", "head-missing") or "work-not-in-history" in line.findings
            unknown = line.instance_id if is_gone else ""
            if line.rule == "child-not-here":
                unknown = line.because.split("its parent ")[1].split(" has ")[0]
            if unknown:
                self.seen.reported.bases.add(await self._base_of(hub, unknown))
        self._read_repairs(await doctor.repair(found))
        await self.results.note(hub)

    @staticmethod
    async def _base_of(hub: TaskHub, instance_id: str) -> str:
        """The beginning of the keys of what an instance does: its input says, in its row or in its history."""
        row, history = await hub.read_row(instance_id), await hub.read_history(instance_id)
        starts = [event for event in history.events if event["EventType"] == EXECUTION_STARTED]
        places = [row.entity if row else {}, *starts]
        found = next((str(place["Input"]) for place in places if place.get("Input")), '"{}"')
        return str(json.loads(json.loads(found)).get("base", instance_id))

    def _read_repairs(self, repaired: Repaired) -> None:
        for plan in repaired.plans:
            self.seen.reported.repeats.update(plan.may_repeat)

    async def _reconcile(self, account: EmbeddedAccount) -> bool:
        """One look, with what it does; whether it has done anything."""
        if not self.seen.accepted and not self.seen.signalled:  # then there may be no journal yet
            return False
        reconciler = _Noted(self._hub(account), self.journal)
        reconciler.raised = self.seen.reported.raised
        result = await reconciler.run(apply=True)
        self._read_outcomes(result)
        return bool(result.counts["started"] + result.counts["raised"])

    def _read_outcomes(self, result: Reconciliation) -> None:
        reported = self.seen.reported
        for outcome in result.outcomes:
            entry = outcome.entry
            if outcome.state not in ("uncertain", "reported") and NAMESAKE not in outcome.why:
                continue
            if entry.kind == "signal":
                key = entry.instance_id, key_of({"input": entry.text})
                reported.signals.add(key)
                if outcome.state == "uncertain" or not self.plan.reconcile_first:  # a host may have done it by then
                    reported.doubled.add(key)
            else:
                reported.instances[entry.instance_id] = outcome.why

    async def _settle(self, engine: Engine) -> None:
        """Lets everything happen that can: until all accepted instances have ended and the queues are empty."""
        client, names = TaskHubClient(engine.hub), engine.hub.names
        end, pause = self.clock.now() + PATIENCE, 1.0
        while self.clock.now() < end:
            statuses = [await client.status(instance_id) for instance_id in self.seen.accepted]
            queues = [names.workitems, *names.control_queues]
            for instance_id, status in zip(self.seen.accepted, statuses, strict=True):
                if status is not None and status.runtime_status == "Suspended":  # who suspended it comes back to it
                    await client.resume(instance_id, "simulated")
            left = sum([await engine.hub.account.queues.count(queue) for queue in queues])
            if left == 0 and all(status is not None and status.is_terminal for status in statuses):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 3600)

    async def _go_home(self, pair: GeoPair) -> None:
        """The planned failover back, with work under way."""
        with tempfile.TemporaryDirectory() as folder:
            pair.restore_geo_redundancy(Path(folder) / "west.db")
            engine = self._engine(pair.primary)
            await engine.start()
            begun = asyncio.get_running_loop().time()
            requests = [Request(900, "chain", {"steps": 2}, 0), *self.plan.at_home]
            clients = [asyncio.create_task(self._client(pair.primary, request)) for request in requests]
            await self._until(begun + self.plan.loss)
            await engine.stop()
            await _cancel(clients)
            pair.fail_over(planned=True, now=self.clock.now())
            engine = self._engine(pair.primary)
            await engine.start()
            await self._work_to_the_end(engine, list(self.seen.accepted.values()))
            await engine.stop()
            await self._check(pair.primary)

    # the invariants

    async def _check(self, account: EmbeddedAccount) -> None:
        hub, verdict = self._hub(account), self.verdict
        if verdict.problems:
            return
        verdict.accepted = len(self.seen.accepted)
        verdict.reported = self.seen.reported.count
        verdict.problems += await checks.problems(self.seen, hub, self.ground.world.EFFECTS)
        verdict.problems += self.results.changed
        if self.with_doctor:
            found = await Doctor(hub, self.ground.app.replay).examine()
            verdict.problems += [
                f"doctor: {line.instance_id}: {line.because}" for line in found.lines(True)
                if not self.seen.reported.is_confused(line.instance_id)
            ]  # fmt: skip


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
