"""Safe to run twice: a host killed after any effect, and a start sent again, leave the world as one run does.

The kill comes after the effect and before anything is recorded, the worst moment there is. Then the instance begins
again from nothing under its id, once with the entities as they were and once with their state lost as well.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.conftest import Outside
from tests.workflows.driver import World
from workflows import etl, monitor, nightly, order, proposal_approval, report

ORDER = {"customer": "kim@example.com", "card": "tok_visa", "lines": [{"sku": "tea", "quantity": 2, "unit_price": 450}]}
CSV = "id,name,email,amount,country\n" + "".join(f"{n},N,n{n}@x.org,1,DE\n" for n in range(6))


class Killed(BaseException):
    """The host dies here; nobody hears of it."""


def _order(**changes: Any) -> Callable[[World], None]:
    def play(world: World) -> None:
        world.run("order", order.check({**ORDER, **changes}), "X")

    return play


def _report(world: World) -> None:
    world.run("report", report.check({"parts": 3, "rows_per_part": 2}), "X")


def _monitor(world: World) -> None:
    world.run("monitor", monitor.check({"condition": "payment_service_answers"}), "X")


def _etl(world: World) -> None:
    world.run("etl", etl.check({"blob": "incoming", "rows_per_part": 2}), "X")


def _nightly(world: World) -> None:
    world.run("nightly", nightly.check({"date": "2026-01-31", "products": ["tea", "cup"]}), "X")


def _delivery(world: World) -> None:
    world.run("delivery", {"sku": "tea", "quantity": 5}, "X")


def _proposal(world: World) -> None:
    world.start("proposal_approval", proposal_approval.check({"title": "Oven", "author": "ada", "amount": 5000}), "X")
    world.settle()
    for person in ("grace", "edsger"):
        world.raise_event("X", "proposal", {"kind": "approve", "by": person})
        world.settle()


def _eternal(world: World) -> None:
    world.start("eternal", {"batch_size": 2, "batch_seconds": 60}, "X")
    for item in (1, 2, 3, {"stop": True}):
        world.raise_event("X", "item", item)
    world.settle()


PLAYS = {
    "order completed": _order(),
    "order rejected": _order(lines=[{"sku": "tea", "quantity": 99, "unit_price": 1}]),
    "order declined": _order(card="tok_declined"),
    "order not shippable": _order(customer="nowhere@example.com"),
    "report": _report,
    "monitor": _monitor,
    "etl": _etl,
    "nightly": _nightly,
    "delivery": _delivery,
    "proposal": _proposal,
    "eternal": _eternal,
}


@pytest.fixture(params=PLAYS)
def play(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[World], None]:
    monkeypatch.setenv("DIRECTORY", json.dumps({"ada": "grace", "grace": "edsger", "edsger": None}))
    return PLAYS[request.param]


@pytest.fixture
def fresh(outside: Outside, blob_directory: Path) -> Callable[..., World]:
    """Makes the world as it is before each play."""

    def make(**options: Any) -> World:
        for kind in ("charges", "refunds", "shipments", "cancelled_shipments", "messages", "void"):
            outside.world.state[kind].clear()
        outside.world.state["answers"].clear()
        outside.world.state["products"] = {"tea": {"on_hand": 10}}
        for path in blob_directory.rglob("*"):
            if path.is_file():
                path.unlink()
        blob_directory.mkdir(exist_ok=True)
        (blob_directory / "incoming").write_text(CSV)
        world = World(**options)
        world.entity("@stock@tea", "set", '{"quantity": 10}')
        return world

    return make


def left_behind(world: World, outside: Outside, blob_directory: Path) -> dict[str, Any]:
    """Everything that one can see afterwards: the services, the stock, the blobs, the result."""
    state = {kind: value for kind, value in outside.world.state.items() if kind not in ("answers", "void")}
    state["messages"] = [(message["key"], message["to"]) for message in state["messages"]]
    blobs = {str(p.relative_to(blob_directory)): p.read_bytes() for p in blob_directory.rglob("*") if p.is_file()}
    output = world.instances["X"].output
    if isinstance(output, dict) and output.get("status", "").endswith("_failed"):
        # An order that runs again after it was taken back learns that its payment was cancelled, not why.
        output = "failed"
    if isinstance(output, dict) and "trail" in output:
        output = [output["outcome"], output["decided_by"], [(entry["what"], entry["who"]) for entry in output["trail"]]]
    stock = world.state("stock", "tea")
    kept = {"on_hand": stock["on_hand"], "reservations": stock["reservations"]}
    return {"outside": json.loads(json.dumps(state)), "stock": kept, "blobs": blobs, "output": output}


def kill_after(world: World, effect: int, play: Callable[[World], None]) -> bool:
    """Plays until the host dies after this effect; False when there are not so many."""
    count = iter(range(1, effect + 1))

    def die(name: str, value: Any) -> None:
        if next(count) == effect:
            raise Killed

    world.after_activity = die
    try:
        play(world)
    except Killed:
        return True
    except StopIteration:
        pass
    return False


def test_a_host_killed_after_any_effect_leaves_what_one_run_leaves(
    play: Callable[[World], None], fresh: Callable[..., World], outside: Outside, blob_directory: Path
) -> None:
    world = fresh()
    effects: list[str] = []
    world.after_activity = lambda name, value: effects.append(name)
    play(world)
    once = left_behind(world, outside, blob_directory)
    assert effects
    for number in range(1, len(effects) + 1):
        for entities_lost in (False, True):
            world = fresh()
            assert kill_after(world, number, play)
            again = later_than(world)
            again.entities = fresh_entities() if entities_lost else world.entities
            play(again)
            assert left_behind(again, outside, blob_directory) == once, f"killed after {number}: {effects[number - 1]}"


def later_than(world: World) -> World:
    """A hub that knows nothing of the first run, a minute after it."""
    again = World()
    again.now = world.now + timedelta(minutes=1)
    return again


def fresh_entities() -> dict[str, str]:
    world = World()
    world.entity("@stock@tea", "set", '{"quantity": 10}')
    return world.entities


def test_every_activity_and_entity_operation_run_twice_leaves_what_one_run_leaves(
    play: Callable[[World], None], fresh: Callable[..., World], outside: Outside, blob_directory: Path
) -> None:
    results = []
    for twice in (False, True):
        world = fresh(twice=twice)
        play(world)
        results.append(left_behind(world, outside, blob_directory))
    assert results[0] == results[1]


def test_a_whole_run_that_is_started_again_leaves_what_one_run_leaves(
    play: Callable[[World], None], fresh: Callable[..., World], outside: Outside, blob_directory: Path
) -> None:
    world = fresh()
    play(world)
    once = left_behind(world, outside, blob_directory)
    again = later_than(world)
    again.entities = world.entities
    play(again)
    assert left_behind(again, outside, blob_directory) == once
