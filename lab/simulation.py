"""One simulated failover: random work, hosts that crash, a region lost at any moment, and the whole recovery.

Everything runs in this process on accounts in memory under a virtual clock, so that a seed gives the same run again.
Who accepted a request keeps it in the journal; what must come of it in the end is the same for any seed: each
accepted request has its right result, each effect happened, no message is left, and the doctor finds nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.engine import Engine, Identity, hub_settings
from lab.function_index import FunctionIndex
from lab.geo_pair import GeoPair
from lab.host_json import DurableSettings
from lab.lag import LongTailedLag
from lab.virtual_time import VirtualClock, run
from lab.worker.local import LocalWorker
from recovery.examination import Doctor
from recovery.journal import Journal
from recovery.reconcile import Reconciler
from recovery.records import RecordChanged
from recovery.replay import load_app
from taskhub.accounts import Account
from taskhub.accounts.embedded import EmbeddedAccount, open_embedded
from taskhub.accounts.replication import READ_ONLY
from taskhub.client import TaskHubClient
from taskhub.errors import TaskHubError
from taskhub.hub import TaskHub

APP = Path(__file__).parent / "simulation_app"
DURABLE = DurableSettings(
    hub="Simulation", partition_count=2, control_queue_visibility=timedelta(seconds=20),
    work_item_queue_visibility=timedelta(seconds=20),
)  # fmt: skip
WORK_SECONDS = 40.0
PATIENCE = timedelta(days=3)  # virtual; the longest deadline is hours


@dataclass(frozen=True)
class Request:
    """One start, with the event a client raises for it later if it does."""

    number: int
    workflow: str
    input: dict[str, Any]
    at: float
    event_after: float | None = None

    @property
    def instance_id(self) -> str:
        return f"{self.workflow}-{self.number:03d}"

    def expected(self) -> Any:
        """The right result."""
        keys = [f"did {self.instance_id}/{step}" for step in range(self.input.get("steps", 0))]
        if self.workflow in ("chain", "fan_out"):
            return keys
        if self.workflow == "approval":
            return "timeout" if self.event_after is None else json.dumps({"by": self.number})
        if self.workflow == "family":
            return [[f"did {self.instance_id}-child{n}/{step}" for step in range(2)] for n in range(2)]
        if self.workflow == "patient":
            return f"did {self.instance_id}/0"
        return f"{self.input['rounds']} rounds"


@dataclass(frozen=True)
class Plan:
    """What happens in one run; all of it drawn from the seed."""

    seed: int
    requests: tuple[Request, ...]
    crashes: tuple[float, ...]  # of West Europe's host, which starts again
    loss: float
    lag: float  # seconds, the median
    doctor_dies_after: int | None  # writes
    reconciler_dies_after: int | None
    way_home: bool


@dataclass
class Verdict:
    """What was wrong at the end; nothing, if all went well."""

    accepted: int = 0
    lost_without: int = 0  # instances whose start had not been replicated
    problems: list[str] = field(default_factory=list)


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)
    count = rng.randint(3, 12)
    requests = tuple(_request(rng, number) for number in range(count))
    crashes = tuple(sorted(rng.uniform(1, WORK_SECONDS) for _ in range(rng.choice((0, 0, 1, 2)))))
    return Plan(
        seed=seed,
        requests=requests,
        crashes=crashes,
        loss=rng.uniform(2, WORK_SECONDS),
        lag=rng.choice((0.0, 0.5, 2.0, 5.0, 10.0, 30.0)),
        doctor_dies_after=rng.choice((None, None, rng.randint(0, 12))),
        reconciler_dies_after=rng.choice((None, None, rng.randint(0, 8))),
        way_home=rng.random() < 0.25,
    )


def _request(rng: random.Random, number: int) -> Request:
    workflow = rng.choice(("chain", "fan_out", "approval", "approval", "family", "patient", "rounds"))
    given: dict[str, Any] = {
        "chain": {"steps": rng.randint(1, 4)},
        "fan_out": {"steps": rng.randint(2, 6)},
        "approval": {"hours": 5},
        "family": {},
        "patient": {"failures": rng.randint(0, 3)},
        "rounds": {"round": 0, "rounds": rng.randint(2, 4)},
    }[workflow]
    event_after = rng.uniform(0.2, 15) if workflow == "approval" and rng.random() < 0.7 else None
    return Request(number, workflow, given, rng.uniform(0, WORK_SECONDS), event_after)


class MemoryRecords:
    """The journal's account, which outlives the region: records in memory."""

    description = "memory"

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, str]] = {}
        self._version = 0

    def put(self, name: str, data: bytes, version: str | None = None, only_new: bool = False) -> str:
        found = self._kept.get(name)
        if (only_new and found is not None) or (version is not None and (found is None or found[1] != version)):
            raise RecordChanged(name)
        self._version += 1
        self._kept[name] = data, str(self._version)
        return str(self._version)

    def get(self, name: str) -> tuple[bytes, str] | None:
        return self._kept.get(name)

    def names(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(name for name in self._kept if name.startswith(prefix)))

    def delete(self, name: str) -> None:
        self._kept.pop(name, None)


class Killed(BaseException):
    """A recovery command's process dies."""


class _Counted:
    """One service of an account; the process dies when its writes are used up."""

    WRITES = frozenset({"write", "transact", "put", "update", "delete", "create"})

    def __init__(self, service: Any, left: list[int]) -> None:
        self._service = service
        self._left = left

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if name not in self.WRITES:
            return found

        async def counted(*args: Any, **named: Any) -> Any:
            if self._left[0] <= 0:
                raise Killed
            self._left[0] -= 1
            return await found(*args, **named)

        return counted


def dying_after(account: EmbeddedAccount, writes: int) -> EmbeddedAccount:
    """The account as a process sees it that is killed after so many writes."""
    left = [writes]
    return dataclasses.replace(
        account, tables=_Counted(account.tables, left), queues=_Counted(account.queues, left),
        blobs=_Counted(account.blobs, left),
    )  # fmt: skip


class Ground:
    """What all runs share: the app, loaded for the worker and once more for the doctor, who replays its code."""

    def __init__(self) -> None:
        self.worker = LocalWorker(APP)
        self.world: Any = sys.modules["function_app"]  # holds the effects of what the worker runs
        self.app = load_app(APP)
        self.functions = FunctionIndex(self.worker.functions)


class Simulation:
    """One run of a plan. `doctor` and `journal` switch the parts of the recovery off, to see what they are for."""

    def __init__(self, plan: Plan, ground: Ground, doctor: bool = True, reconcile: bool = True) -> None:
        self.plan = plan
        self.ground = ground
        self.with_doctor = doctor
        self.with_reconcile = reconcile
        self.verdict = Verdict()
        self.accepted: dict[str, Request] = {}
        self.events: set[str] = set()  # instances whose event was accepted

    def play(self) -> Verdict:
        """Plays the plan to its end."""
        self.ground.world.reset()
        run(self._main)
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
            await self._go_home(pair)
        await self._check(pair.primary)

    # before the loss

    async def _work_until_lost(self, account: Account) -> None:
        clients = [asyncio.create_task(self._client(account, request)) for request in self.plan.requests]
        for moment in (*self.plan.crashes, self.plan.loss):
            if moment > self.plan.loss:
                continue
            engine = self._engine(account)
            await engine.start()
            await self._until(moment)
            await kill(engine)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))

    def _engine(self, account: Account) -> Engine:
        async def no_http(_: str) -> str:
            raise OSError("no HTTP in a simulation")

        return Engine(
            account, DURABLE, self.ground.worker, self.ground.functions, self.clock, Identity("simulated"), 30,
            lambda _: None, no_http, alone=True,
        )  # fmt: skip

    async def _client(self, account: Account, request: Request) -> None:
        """A client of the app: a request counts as accepted when both journal and hub have it."""
        await asyncio.sleep(request.at)
        client = TaskHubClient(self._hub(account))
        await self.journal.accept_start(request.instance_id, request.workflow, request.input)
        await client.start(request.workflow, request.instance_id, json.dumps(json.dumps(request.input)))
        self.accepted[request.instance_id] = request
        if request.event_after is None:
            return
        await asyncio.sleep(request.event_after)
        await self._raise(client, request)

    async def _raise(self, client: TaskHubClient, request: Request) -> None:
        data = {"by": request.number}
        await self.journal.accept_event(request.instance_id, "decision", data)
        await client.raise_event(request.instance_id, "decision", json.dumps(json.dumps(data)))
        self.events.add(request.instance_id)

    def _hub(self, account: Account) -> TaskHub:
        return TaskHub(account, hub_settings(DURABLE), self.clock)

    # after the loss

    async def _recover(self, account: EmbeddedAccount) -> None:
        if self.with_doctor:
            await self._surviving(self.plan.doctor_dies_after, account, self._see_the_doctor)
        engine = self._engine(account)
        await engine.start()
        await asyncio.sleep(5)
        if self.with_reconcile:
            await self._surviving(self.plan.reconciler_dies_after, account, self._reconcile)
        client = TaskHubClient(engine.hub)
        for request in list(self.accepted.values()):
            if request.event_after is not None and request.instance_id not in self.events:
                try:  # its client had not come to it; it does so now
                    await self._raise(client, request)
                except TaskHubError:
                    pass
        await self._settle(engine)
        if self.with_reconcile:
            await self._reconcile(account)
        await self._settle(engine)
        await engine.stop()

    async def _surviving(
        self, dies_after: int | None, account: EmbeddedAccount, step: Callable[[EmbeddedAccount], Awaitable[None]]
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
        await doctor.repair(await doctor.examine())

    async def _reconcile(self, account: EmbeddedAccount) -> None:
        if not self.accepted:  # then there is no journal yet
            return
        hub = self._hub(account)
        await Reconciler(hub, self.journal).run(apply=True)

    async def _settle(self, engine: Engine) -> None:
        """Lets everything happen that can: until all accepted instances have ended and the queues are empty."""
        client, names = TaskHubClient(engine.hub), engine.hub.names
        end, pause = self.clock.now() + PATIENCE, 1.0
        while self.clock.now() < end:
            statuses = [await client.status(instance_id) for instance_id in self.accepted]
            queues = [names.workitems, *names.control_queues]
            left = sum([await engine.hub.account.queues.count(queue) for queue in queues])
            if left == 0 and all(status is not None and status.is_terminal for status in statuses):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 3600)

    async def _go_home(self, pair: GeoPair) -> None:
        with tempfile.TemporaryDirectory() as folder:
            pair.restore_geo_redundancy(Path(folder) / "west.db")
            await asyncio.sleep(60)
            pair.fail_over(planned=True, now=self.clock.now())
            engine = self._engine(pair.primary)
            await engine.start()
            request = Request(900, "chain", {"steps": 2}, 0)
            await TaskHubClient(engine.hub).start("chain", request.instance_id, json.dumps(json.dumps(request.input)))
            self.accepted[request.instance_id] = request
            await self._settle(engine)
            await engine.stop()
            await self._check(pair.primary)

    # the invariants

    async def _check(self, account: EmbeddedAccount) -> None:
        hub = self._hub(account)
        client, problems = TaskHubClient(hub), self.verdict.problems
        self.verdict.accepted = len(self.accepted)
        for instance_id, request in self.accepted.items():
            status = await client.status(instance_id)
            if status is None:
                problems.append(f"{instance_id}: lost")
            elif status.runtime_status != "Completed":
                problems.append(f"{instance_id}: {status.runtime_status}, {status.output}")
            elif json.loads(status.output or "null") != request.expected():
                problems.append(f"{instance_id}: {status.output} instead of {request.expected()!r}")
        effects = self.ground.world.EFFECTS
        for request in self.accepted.values():
            for key in effect_keys(request):
                if key not in effects:
                    problems.append(f"{key}: the effect is missing")
        for queue in (hub.names.workitems, *hub.names.control_queues):
            if count := await account.queues.count(queue):
                problems.append(f"{queue}: {count} messages are left")
        if self.with_doctor:
            found = await Doctor(hub, self.ground.app.replay).examine()
            if not found.is_clean:
                problems.extend(f"doctor: {line.instance_id}: {line.because}" for line in found.lines(True))


def effect_keys(request: Request) -> list[str]:
    """The keys of the effects that a request must have had."""
    base = request.instance_id
    if request.workflow == "family":
        return [f"{base}-child{n}/{step}" for n in range(2) for step in range(2)]
    if request.workflow == "approval":
        return [f"{base}/{0 if request.event_after is not None else 1}"]
    if request.workflow == "rounds":
        return [f"{base}/{n}" for n in range(request.input["rounds"])]
    return [f"{base}/{n}" for n in range(request.input.get("steps", 1))]


async def kill(engine: Engine) -> None:
    """Ends a host as a signal 9 does: nothing is finished, released or said."""
    tasks = [*engine._tasks, *engine._readers.values(), *engine.orchestrations._tasks, *engine.activities._running]
    engine._stopping = True
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
