"""What happens in one simulated failover, as data: drawn from a seed, stored as JSON, made simpler step by step."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.simulation import programs
from lab.simulation.programs import Raise

WORK_SECONDS = 40.0
ENTITIES = ("@ledger@a", "@ledger@b")
SHAPES = ("chain", "fan_out", "approval", "family", "patient", "rounds", *["program"] * 8)


@dataclass(frozen=True)
class Request:
    """One start, with the events that its client raises for it later."""

    number: int
    workflow: str
    input: dict[str, Any]
    at: float
    events: tuple[Raise, ...] = ()
    suspended: tuple[float, float] | None = None  # seconds after the start, and for how many; then it is resumed

    @property
    def instance_id(self) -> str:
        return f"{self.workflow}-{self.number:03d}"


@dataclass(frozen=True)
class Signal:
    """One operation that a client asks of an entity without waiting for it."""

    at: float
    entity: str
    key: str


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
    signals: tuple[Signal, ...] = ()
    later_crashes: tuple[float, ...] = ()  # of North Europe's host, seconds after its start
    at_home: tuple[Request, ...] = ()  # under way when the account goes home
    reconcile_first: bool = False  # before a host starts, as it should be

    def to_json(self) -> str:
        """The plan as one line of text."""
        return json.dumps(dataclasses.asdict(self))


def from_json(text: str) -> Plan:
    """The plan that `to_json` wrote."""
    given = json.loads(text)
    for name in ("requests", "at_home"):
        given[name] = tuple(_request_of(one) for one in given.get(name, ()))
    given["signals"] = tuple(Signal(**one) for one in given.get("signals", ()))
    for name in ("crashes", "later_crashes"):
        given[name] = tuple(given.get(name, ()))
    return Plan(**given)


def _request_of(given: dict[str, Any]) -> Request:
    suspended = tuple(given["suspended"]) if given.get("suspended") else None
    return Request(
        **{**given, "events": tuple(Raise(**one) for one in given.get("events", ())), "suspended": suspended}
    )


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)
    count = rng.randint(2, 9)
    way_home = rng.random() < 0.25
    return Plan(
        seed=seed,
        requests=tuple(_perhaps_suspended(seed, _request(rng, number)) for number in range(count)),
        crashes=tuple(sorted(rng.uniform(1, WORK_SECONDS) for _ in range(rng.choice((0, 0, 1, 2))))),
        loss=rng.uniform(2, WORK_SECONDS),
        lag=rng.choice((0.0, 0.5, 2.0, 5.0, 10.0, 30.0)),
        doctor_dies_after=rng.choice((None, None, rng.randint(0, 12))),
        reconciler_dies_after=rng.choice((None, None, rng.randint(0, 8))),
        way_home=way_home,
        signals=tuple(
            Signal(rng.uniform(0, WORK_SECONDS), rng.choice(ENTITIES), f"signal-{number}")
            for number in range(rng.choice((0, 0, 2, 6)))
        ),
        later_crashes=tuple(rng.uniform(0.2, 20) for _ in range(rng.choice((0, 0, 0, 1)))),
        at_home=(_request(rng, 901), _request(rng, 902)) if way_home else (),
        reconcile_first=rng.random() < 0.7,
    )


def _perhaps_suspended(seed: int, request: Request) -> Request:
    rng = random.Random(f"{seed} suspends {request.number}")
    if rng.random() < 0.8:
        return request
    return dataclasses.replace(request, suspended=(rng.uniform(0.1, 8), rng.uniform(0.5, 20)))


def _request(rng: random.Random, number: int) -> Request:
    workflow = rng.choice(SHAPES)
    at = rng.uniform(0, WORK_SECONDS)
    if workflow == "program":
        given, events = programs.draw(rng, ENTITIES)
        return Request(number, workflow, given, at, events)
    shape: dict[str, dict[str, Any]] = {
        "chain": {"steps": rng.randint(1, 4)},
        "fan_out": {"steps": rng.randint(2, 6)},
        "approval": {"hours": 5},
        "family": {},
        "patient": {"failures": rng.randint(0, 3)},
        "rounds": {"round": 0, "rounds": rng.randint(2, 4)},
    }
    decided = workflow == "approval" and rng.random() < 0.7
    events = (Raise(rng.uniform(0.2, 15), "decision", {"by": number}),) if decided else ()
    return Request(number, workflow, shape[workflow], at, events)


def simpler(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less: a request, a signal, a step, a crash, a death, a suspension, the way home."""
    for name in ("requests", "signals", "crashes", "later_crashes", "at_home"):
        for rest in _without_one(getattr(plan, name)):
            changed: dict[str, Any] = {name: rest}
            yield dataclasses.replace(plan, **changed)
    if plan.doctor_dies_after is not None:
        yield dataclasses.replace(plan, doctor_dies_after=None)
    if plan.reconciler_dies_after is not None:
        yield dataclasses.replace(plan, reconciler_dies_after=None)
    if plan.way_home:
        yield dataclasses.replace(plan, way_home=False, at_home=())
    for index, request in enumerate(plan.requests):
        for smaller in _simpler_request(request):
            yield dataclasses.replace(plan, requests=(*plan.requests[:index], smaller, *plan.requests[index + 1 :]))


def _simpler_request(request: Request) -> Iterator[Request]:
    if request.suspended is not None:
        yield dataclasses.replace(request, suspended=None)
    if request.workflow == "program":
        for given in programs.simpler(request.input):
            yield dataclasses.replace(request, input=given, events=programs.still_wanted(given, request.events))


def _without_one(things: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for index in range(len(things)):
        yield things[:index] + things[index + 1 :]
