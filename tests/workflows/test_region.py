"""A region that was failed away from does nothing that lasts: not when it is loaded, and not while it runs."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest

import function_app
from recovery import fence
from recovery.records import DirectoryRecords
from tests.workflows.driver import FUNCTIONS, Client, World
from workflows import elsewhere, nightly, region, starters

WEST, NORTH = "westeurope", "northeurope"
ADDRESS = "https://north.example"
# Starts ask in workflows.records, activities through their blueprint, the rest is kept apart by the app lease.
KEPT_OUT_OTHERWISE = {"httpTrigger", "activityTrigger", "orchestrationTrigger", "entityTrigger"}


class Waits(BaseException):
    """The function has begun to wait."""


class Region:
    """West Europe's worker process: who works, which signals its host got, and what happens while it waits."""

    def __init__(self, place: Path) -> None:
        self.records = DirectoryRecords(place)
        self.signals: list[tuple[int, int]] = []
        self.waited: list[float] = []
        self.while_waiting: Callable[[], None] = self._stop
        fence.take_over(self.records, NORTH, ADDRESS)

    def _stop(self) -> None:
        raise Waits

    def may_work_again(self) -> None:
        fence.take_over(self.records, WEST)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.while_waiting()

    async def wait_async(self, seconds: float) -> None:
        self.wait(seconds)


def forget() -> None:
    fence.current.cache_clear()
    region.have_host_stopped.cache_clear()


@pytest.fixture
def west(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    settings = {"JOURNAL_STORAGE": str(tmp_path / "journal"), "FENCE_REGION": WEST, "FENCE_CACHE_SECONDS": "0"}
    for name, value in {**settings, "FUNCTIONS_WORKER_RUNTIME": "python"}.items():
        monkeypatch.setenv(name, value)
    made = Region(tmp_path / "journal")
    monkeypatch.setattr(os, "kill", lambda number, sent: made.signals.append((number, sent)))
    monkeypatch.setattr(region.time, "sleep", made.wait)
    monkeypatch.setattr(region.asyncio, "sleep", made.wait_async)
    monkeypatch.setattr(region.tempfile, "gettempdir", lambda: str(tmp_path))
    forget()
    yield made
    forget()


def call(function: Any, *arguments: Any) -> Any:
    made = function(*arguments)
    return asyncio.run(made) if asyncio.iscoroutine(made) else made


@pytest.mark.parametrize("name", sorted(FUNCTIONS["activityTrigger"]))
def test_no_activity_of_the_app_begins_while_another_region_works(west: Region, name: str) -> None:
    with pytest.raises(Waits):
        call(FUNCTIONS["activityTrigger"][name], None)  # one that began would stumble over its input


def test_an_activity_runs_once_its_region_may_work_again(west: Region) -> None:
    west.while_waiting = west.may_work_again
    assert call(FUNCTIONS["activityTrigger"]["say_hello"], "Tokyo") == "Hello Tokyo!"
    assert len(west.waited) == 1


def test_an_asynchronous_activity_waits_without_blocking_its_loop(west: Region) -> None:
    @region.held
    async def work(number: int) -> int:
        return number + 1

    west.while_waiting = west.may_work_again
    assert asyncio.iscoroutinefunction(work) and call(work, 1) == 2
    assert len(west.waited) == 1


def test_a_fenced_worker_asks_its_host_to_stop_once(west: Region) -> None:
    for _ in range(3):
        with pytest.raises(Waits):
            call(FUNCTIONS["activityTrigger"]["say_hello"], "Tokyo")
    assert west.signals == [(os.getppid(), signal.SIGTERM)]


def test_outside_of_a_worker_process_nobody_is_asked_to_stop(west: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNCTIONS_WORKER_RUNTIME")
    with pytest.raises(Waits):
        call(FUNCTIONS["activityTrigger"]["say_hello"], "Tokyo")
    assert west.signals == []


def test_a_message_of_a_queue_is_neither_lost_nor_refused_but_held(west: Region) -> None:
    world = World()
    trigger = FUNCTIONS["queueTrigger"]["delivery_queue"].client_function
    message = func.QueueMessage(id="m-1", body='{"sku": "tea", "quantity": 1}')
    with pytest.raises(Waits):
        asyncio.run(trigger(message, Client(world)))
    assert world.instances == {}
    west.while_waiting = west.may_work_again
    asyncio.run(trigger(message, Client(world)))
    assert list(world.instances) == ["delivery-m-1"]


def test_a_timer_does_nothing_and_returns(west: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTLY_PRODUCTS", "tea")
    world, timer = World(), FUNCTIONS["timerTrigger"]["nightly_timer"].client_function
    nobody: Any = None
    asyncio.run(timer(nobody, Client(world)))
    assert world.instances == {}
    west.may_work_again()
    asyncio.run(timer(nobody, Client(world)))
    assert list(world.instances) == [nightly.NIGHTLY_ID]


def test_every_trigger_that_could_work_by_itself_has_its_test_here() -> None:
    assert {kind: sorted(found) for kind, found in FUNCTIONS.items() if kind not in KEPT_OUT_OTHERWISE} == {
        "timerTrigger": ["nightly_timer"], "queueTrigger": ["delivery_queue"]
    }  # fmt: skip


def test_a_load_balancer_is_told_and_never_waits_for_the_record(west: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENCE_CACHE_SECONDS", "60")
    request: Any = None

    async def probe() -> int:
        answer = await FUNCTIONS["httpTrigger"]["health"](request)
        return int(answer.status_code)

    async def main() -> None:
        assert await probe() == 200  # nothing is known yet, and nobody waits
        await asyncio.get_running_loop().shutdown_default_executor()
        assert await probe() == 503

    asyncio.run(main())


def test_the_app_of_a_region_that_works_has_all_its_functions(west: Region) -> None:
    west.may_work_again()
    assert region.permit_at_load().allowed


def loaded(west: Region, folder: Path) -> dict[str, list[str]]:
    """What an app that is loaded now registers: bindings by name, in a process of its own as a worker is."""
    code = (
        "import json, function_app as f; print(json.dumps({x.get_function_name(): "
        "[binding['type'] for binding in x.get_bindings_dict()['bindings']] for x in f.app.get_functions()}))"
    )
    root = Path(function_app.__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_an_app_that_is_fenced_when_it_is_loaded_has_no_trigger_but_http(west: Region, tmp_path: Path) -> None:
    found = loaded(west, tmp_path)
    assert sorted(found) == ["health", "other_region"]
    assert {kind for bindings in found.values() for kind in bindings} == {
        "httpTrigger",
        "http",
    }  # not even a durable client, for which the extension would be loaded


def test_a_worker_that_is_started_later_has_the_functions_that_its_host_knows(west: Region, tmp_path: Path) -> None:
    west.may_work_again()
    assert "order" in loaded(west, tmp_path)
    fence.take_over(west.records, NORTH, ADDRESS)
    assert "order" in loaded(west, tmp_path)  # this process started both, as a host does
    (note,) = tmp_path.glob("durable-failover-*")
    note.unlink()
    assert "order" not in loaded(west, tmp_path)
    west.may_work_again()
    assert "order" not in loaded(west, tmp_path)


def functions_elsewhere() -> dict[str, Any]:
    app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)
    app.register_functions(elsewhere.blueprint)
    return {function.get_function_name(): function for function in app.get_functions()}


def test_whatever_is_asked_of_a_fenced_app_it_answers_503_and_names_the_other_region(west: Region) -> None:
    request: Any = None
    for function in functions_elsewhere().values():
        answer = asyncio.run(function.get_user_function()(request))
        assert answer.status_code == 503
        assert json.loads(answer.get_body())["address"] == ADDRESS
    assert west.signals == []  # it is as it has to be


def test_a_fenced_app_takes_every_path_and_method_and_health_without_a_key() -> None:
    triggers = {name: function.get_trigger() for name, function in functions_elsewhere().items()}
    assert triggers["other_region"].route == "{*path}"
    assert {method.value if hasattr(method, "value") else method for method in triggers["other_region"].methods} == {
        "GET", "POST", "PUT", "PATCH", "DELETE"
    }  # fmt: skip
    assert triggers["health"].auth_level == func.AuthLevel.ANONYMOUS
    assert min(triggers) == "health"  # the first in the alphabet gets what both match


def test_a_fenced_app_whose_region_may_work_again_is_loaded_anew(west: Region) -> None:
    west.may_work_again()
    request: Any = None
    answer = asyncio.run(functions_elsewhere()["health"].get_user_function()(request))
    assert answer.status_code == 503
    assert west.signals == [(os.getppid(), signal.SIGTERM)]


def test_every_blueprint_of_the_app_holds_its_activities() -> None:
    assert all(isinstance(part.blueprint, region.Blueprint) for part in (*function_app.PARTS, elsewhere, starters))
