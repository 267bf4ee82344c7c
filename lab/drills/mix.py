"""What clients want of each workflow during a drill: how they start it, what they send later, and its right result.

Beside the instances that wait for an event (`workload`), a drill holds a share of every other workflow. Whatever a
client sends is safe to send twice: after the failover each client whose instance has not ended sends it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from lab.right_results import DECLINED, greetings, right

Kind = Literal["start", "event", "signal"]
SOURCE = "incoming/drill.csv"  # of every etl
ROWS = (
    "id,name,email,amount,country\n1,Ada,ada@example.com,10.50,gb\n2,Bo,nobody,1,de\n3,Cy,cy@example.com,3,fr\n"
    "4,Di,di@example.com,4,se\n5,Ed,ed@example.com,5,no\n6,Flo,flo@example.com,6,dk\n"
)
GOOD, BAD = 5, 1
ON_HAND = 100  # what the supplier has of each product
PRICE = 450  # cents
LONG = 3600  # seconds: longer than any drill
FIRST, AGAIN = "raised 1", "raised 2"  # marks in what events bring: before the loss, and after it
MAILBOX = "drill@example.com"


@dataclass(frozen=True)
class Call:
    """One request; `kind` is what it becomes in the hub."""

    kind: Kind
    path: str
    body: str | None = None  # JSON

    def again(self) -> Call:
        """The same request after the failover."""
        return self if self.body is None else replace(self, body=self.body.replace(FIRST, AGAIN))


@dataclass(frozen=True)
class Errand:
    """One instance of a workflow, as its client sees it."""

    workflow: str
    instance_id: str
    start: Call
    right: Any
    more: tuple[Call, ...] = ()  # while it runs
    last: tuple[Call, ...] = ()  # what ends it; only after the failover
    has_blobs: bool = False  # it writes blobs, and clears up when they are no longer needed

    @property
    def after_the_failover(self) -> tuple[Call, ...]:
        """What the client sends to an instance that has not ended."""
        return (*(call.again() for call in self.more), *self.last)


def errand(number: int, name: str) -> Errand:
    """The errand of one client: the workflows take turns, so that every drill of some size holds each of them."""
    turn, kind = divmod(number, len(_ERRANDS))
    return _ERRANDS[kind](name, turn)


def _started(path: str, body: Any = None) -> Call:
    return Call("start", path, None if body is None else json.dumps(body))


def _by_name(workflow: str, name: str, body: Any = None) -> Call:
    return _started(f"/api/orchestrators/{workflow}?id={name}", body)


def _event(instance_id: str, event: str, data: Any) -> Call:
    body = {"instanceId": instance_id, "eventName": event, "data": data}
    return Call("event", "/api/SendExternalEvent", json.dumps(body))


def _hello(name: str, turn: int) -> Errand:
    return Errand("hello_cities", name, _by_name("hello_cities", name), greetings())


def _hello_parallel(name: str, turn: int) -> Errand:
    start = _by_name("hello_cities_parallel", name, ["Oslo", "Riga", "Bern"])
    return Errand("hello_cities_parallel", name, start, greetings(("Oslo", "Riga", "Bern")))


def _order(name: str, turn: int) -> Errand:
    """Every fourth card is declined. A product of its own, so that no order waits for another one."""
    declined, quantity = turn % 4 == 3, 1 + turn % 3
    order = {"customer": MAILBOX, "card": DECLINED if declined else "tok_visa"}
    order |= {"lines": [{"sku": name, "quantity": quantity, "unit_price": PRICE}]}  # type: ignore[dict-item]
    wanted = right("order, card declined") if declined else right("order", total=quantity * PRICE)
    return Errand("order", name, _started(f"/api/orders?id={name}", order), wanted)


def _proposal(name: str, turn: int) -> Errand:
    start = _started(f"/api/proposals?id={name}", {"title": name, "author": "ada@example.com", "amount": 800})
    decision = {"by": "grace@example.com", "decision": "approve", "comment": FIRST}
    decided = Call("event", f"/api/proposals/{name}/decision", json.dumps(decision))
    return Errand("proposal_approval", name, start, right("proposal_approval", decided_by=decision["by"]), (decided,))


def _report(name: str, turn: int) -> Errand:
    start = _started(f"/api/reports?id={name}", {"title": name, "parts": 3, "rows_per_part": 5})
    return Errand("report", name, start, right("report"), has_blobs=True)


def _monitor(name: str, turn: int) -> Errand:
    """In turns one whose condition is met at once, and one that looks once and then waits for hours."""
    what: dict[str, Any] = {"notify": MAILBOX, "every_seconds": LONG, "deadline_seconds": 100 * LONG}
    if turn % 2:
        start = _started(f"/api/monitors?id={name}", {**what, "condition": "payment_service_answers"})
        return Errand("monitor", name, start, right("monitor"))
    start = _started(f"/api/monitors?id={name}", {**what, "url": "http://localhost:1/nobody"})
    stop = Call("event", f"/api/monitors/{name}/stop")
    return Errand("monitor", name, start, right("monitor, stopped", checks=1), last=(stop,))


def _device(name: str, turn: int) -> Errand:
    watch = f"watch-{name}"
    start = _started(f"/api/devices/{name}/watch", {"notify": MAILBOX, "look_every_seconds": LONG})
    at = "2026-01-31T12:00:00Z"
    reading = Call("signal", f"/api/devices/{name}/readings", json.dumps({"id": "r-1", "at": at, "value": 4.5}))
    alarm = _event(watch, "alarm", {"id": "a-1", "at": at, "alarm": "too warm", "note": FIRST})
    stop = _event(watch, "alarm", {"stop": True})
    wanted = right("device_watch, stopped", told=["a-1"])
    return Errand("device_watch", watch, start, wanted, (reading, alarm), (stop,))


def _etl(name: str, turn: int) -> Errand:
    start = _by_name("etl", name, {"blob": SOURCE, "format": "csv", "rows_per_part": 2})
    return Errand("etl", name, start, right("etl", good=GOOD, bad=BAD), has_blobs=True)


def _nightly(name: str, turn: int) -> Errand:
    night = (date(2026, 1, 1) + timedelta(days=turn)).isoformat()
    start = _by_name("nightly", name, {"date": night, "products": [name]})
    return Errand("nightly", name, start, right("nightly", date=night))


def _delivery(name: str, turn: int) -> Errand:
    start = _by_name("delivery", name, {"sku": name, "quantity": 10})
    return Errand("delivery", name, start, right("delivery", on_hand=10, available=10))


def _eternal(name: str, turn: int) -> Errand:
    start = _by_name("eternal", name, {"batch_size": 2, "batch_seconds": LONG})
    items = tuple(_event(name, "item", {"id": f"{name}/{number}", "note": FIRST}) for number in range(3))
    stop = _event(name, "item", {"stop": True})
    return Errand("eternal", name, start, right("eternal, stopped", batches=2, items=3), items, (stop,))


_ERRANDS: tuple[Callable[[str, int], Errand], ...] = (
    _hello, _order, _proposal, _report, _etl, _eternal, _monitor, _device, _hello_parallel, _delivery, _nightly,
)  # fmt: skip
WORKFLOWS = tuple(make("x", 0).workflow for make in _ERRANDS)
