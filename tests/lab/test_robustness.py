"""Damaged storage, messages that always fail and sizes beyond the ordinary: one instance suffers, the host goes on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.deliveries import Deliveries
from lab.drills.region import Region
from lab.worker import EpisodeCall, EpisodeResult, WorkerGone
from taskhub import messages
from taskhub.accounts import QueueMessage, Write, open_account
from taskhub.client import StatusQuery, TaskHubClient
from taskhub.errors import AccountUnreachable, NotFound, Undecodable
from taskhub.history import History
from taskhub.hub import HubSettings, TaskHub
from taskhub.messages import TaskMessage
from tests.journeys.hosts import HOOK, started, until
from tests.lab.workbench import APP, CONTROL, WORK, Bench, Play

# The SDK says once per process that it would like types in annotations.
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")


# messages that always fail


def test_a_message_that_always_fails_comes_back_ever_later_and_is_counted(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "damaged")
        await bench.is_waiting("damaged")
        await bench.damage("damaged", "0000000000000001", EventType="NoSuchEvent")
        await bench.client.raise_event("damaged", "news", "1")
        await asyncio.sleep(3600)
        [text] = bench.engine.deliveries.poison.values()
        assert "damaged: EventRaised" in text and "NoSuchEvent" in text
        await bench.goes_on()
        assert (await bench.status("damaged")).runtime_status == "Running"
        assert await bench.account.queues.count(CONTROL) == 1  # nothing is lost

    with caplog.at_level(logging.DEBUG, "lab"):
        play(scenario)
    told = [record.args for record in caplog.records if "is put back for" in record.msg]
    assert [args[2] for args in told if isinstance(args, tuple)][:10] == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600]


def test_a_repaired_instance_takes_up_its_messages_again(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "repaired")
        await bench.is_waiting("repaired")
        await bench.damage("repaired", "0000000000000001", EventType="NoSuchEvent")
        await bench.client.raise_event("repaired", "news", "1")
        await asyncio.sleep(2000)
        assert bench.engine.deliveries.poison
        await bench.damage("repaired", "0000000000000001", EventType="ExecutionStarted")
        assert await bench.ended("repaired") == "Completed"
        assert bench.engine.deliveries.poison == {}

    play(scenario)


def test_one_bad_message_does_not_hold_back_the_others_of_its_instance(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("collect", "mixed", 3)
        await bench.is_waiting("mixed")
        bad = messages.event(messages.EVENT_RAISED, bench.hub.clock.now(), Name={"not": "a text"}, Input="1")
        put = [bench.client.raise_event("mixed", "news", str(n)) for n in range(3)]
        await asyncio.gather(bench.hub.send(TaskMessage(bad, "mixed", None)), *put)
        assert await bench.ended("mixed") == "Completed"

    play(scenario)


def test_an_event_outlives_a_start_that_had_to_be_put_back(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        episode, gone = bench.engine.orchestrations.episodes.worker.episode, []

        async def once_gone(call: EpisodeCall) -> EpisodeResult:
            if not gone:
                gone.append(call.instance_id)
                raise WorkerGone("the worker's process ended")
            return await episode(call)

        monkeypatch.setattr(bench.engine.orchestrations.episodes.worker, "episode", once_gone)
        await bench.start("wait", "late")
        while not gone:
            await asyncio.sleep(0.1)
        await bench.client.raise_event("late", "news", '"heard"')
        assert await bench.ended("late") == "Completed"
        assert (await bench.status("late")).output == '"heard"'

    play(scenario)


@pytest.mark.parametrize("size", [10, 70_000])
def test_an_end_that_was_cut_before_its_status_was_written_is_told_when_the_message_returns(
    play: Play, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "cut")
        await bench.is_waiting("cut")
        merge, cut = bench.hub.merge_row, []

        async def once_lost(instance_id: str, columns: Any) -> None:
            if not cut:
                cut.append(columns)
                raise AccountUnreachable("the answer is lost")
            await merge(instance_id, columns)

        monkeypatch.setattr(bench.hub, "merge_row", once_lost)
        await bench.client.raise_event("cut", "news", json.dumps("x" * size))
        assert await bench.ended("cut") == "Completed"
        assert cut and json.loads((await bench.status("cut")).output or "") == "x" * size

    play(scenario)


def test_activities_that_take_long_do_not_fill_the_buffer_of_the_control_queues(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("slow_fan", "slow", 40)
        await asyncio.sleep(5)
        begin = bench.hub.clock.now()
        await bench.goes_on()
        assert bench.hub.clock.now() - begin < timedelta(seconds=30)
        assert await bench.ended("slow") == "Completed"

    play(scenario, control_queue_buffer_threshold=32, max_concurrent_activities=50)


# damaged messages

DEEP = "[" * 30_000
UNREADABLE = {
    "no JSON": "this is no JSON",
    "no base64": "!!!!",
    "nothing": "",
    "a list": "[]",
    "a number": "7",
    "an empty object": "{}",
    "deeply nested": DEEP,
    "deeply nested in an object": '{"a":' + DEEP,
    "no event": '{"TaskMessage":{}}',
    "an event of a wrong kind": '{"TaskMessage":{"Event":7,"OrchestrationInstance":{"InstanceId":"x"}}}',
    "an event that is a list": '{"TaskMessage":{"Event":["$type"],"OrchestrationInstance":{"InstanceId":"x"}}}',
    "a kind that is an object": '{"TaskMessage":{"Event":{"$type":{},"EventType":{},"Timestamp":"x"}}}',
    "a blob that is missing": '{"CompressedBlobName":"x/missing.json.gz"}',
    "a blob with a name of a wrong kind": '{"CompressedBlobName":{"a":1}}',
    "a blob with a forbidden name": '{"CompressedBlobName":"../../../etc/passwd"}',
    "a blob that is damaged": '{"CompressedBlobName":"damaged.gz"}',
    "a blob that is cut": '{"CompressedBlobName":"cut.gz"}',
    "a blob without an envelope": '{"CompressedBlobName":"other.json"}',
}


@pytest.mark.parametrize("queue", [CONTROL, WORK])
def test_unreadable_messages_stay_in_their_queue_and_the_host_goes_on(play: Play, queue: str) -> None:
    async def scenario(bench: Bench) -> None:
        blobs, container = bench.account.blobs, bench.hub.names.large_messages
        await bench.hub.large.write("whole.gz", b"{}" * 1000)
        whole = await blobs.get(container, "whole.gz")
        await blobs.put(container, "cut.gz", whole[: len(whole) // 2])
        await blobs.put(container, "damaged.gz", whole[:12] + bytes(len(whole) - 12))
        await blobs.put(container, "other.json", b'{"a": 1}')
        for text in UNREADABLE.values():
            await bench.account.queues.put(queue, text)
        await bench.goes_on()
        await asyncio.sleep(3600)
        assert await bench.account.queues.count(queue) == len(UNREADABLE)
        assert len(bench.engine.deliveries.poison) == len(UNREADABLE)
        assert bench.engine.deliveries.count == 0

    play(scenario)


EVENT: dict[str, Any] = {"$type": "DurableTask.Core.History.EventRaisedEvent", "EventType": 15, "EventId": -1,
                         "IsPlayed": False, "Timestamp": "2026-01-05T09:00:00Z"}  # fmt: skip
STRANGE: dict[str, dict[str, Any]] = {
    "an event without a name": EVENT,
    "an event with a name of a wrong kind": {**EVENT, "Name": [1]},
    "an event at no time": {**EVENT, "Name": "news", "Input": "1", "Timestamp": "yesterday"},
    "a result of nothing": {**EVENT, "$type": "DurableTask.Core.History.TaskCompletedEvent", "EventType": 5},
    "a result of a wrong kind": {**EVENT, "EventType": 5, "TaskScheduledId": {"a": 1}},
    "a result of a number there is not": {**EVENT, "EventType": 5, "TaskScheduledId": 99, "Result": "1"},
    "a timer without a number": {**EVENT, "EventType": 11},
    "an activity for the control queue": {**EVENT, "EventType": 4, "Name": "hello"},
    "a kind that arrives nowhere": {**EVENT, "EventType": 17},
    "a start without an instance": {**EVENT, "EventType": 0, "Name": "plain", "Input": None},
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_message_for_an_instance_stops_no_other(play: Play, kind: str) -> None:
    async def scenario(bench: Bench) -> None:
        for target in ("waiting", "@entity@key", "nowhere", ""):
            if target == "waiting":
                await bench.start("wait", target)
                await bench.is_waiting(target)
            envelope = {
                "$type": "DurableTask.AzureStorage.MessageData",
                "TaskMessage": {"Event": STRANGE[kind], "OrchestrationInstance": {"InstanceId": target}},
            }
            for queue in (CONTROL, WORK):
                await bench.account.queues.put(queue, json.dumps(envelope))
        await bench.goes_on()
        await asyncio.sleep(3600)
        assert not bench.engine.failed.is_set()
        assert bench.engine.deliveries.count == 0

    play(scenario)


def test_more_instances_with_a_missing_blob_than_the_buffer_holds_do_not_stop_the_others(play: Play) -> None:
    """The platform's worker halts here: forty such messages fill a buffer of thirty-two for ever."""

    async def scenario(bench: Bench) -> None:
        large = "x" * 70_000
        for number in range(40):
            await bench.start("wait", f"torn-{number}", large)
        for number in range(40):
            await bench.is_waiting(f"torn-{number}")
        await bench.account.blobs.drop(bench.hub.names.large_messages)
        bench.engine.orchestrations.forget({CONTROL})
        for number in range(40):
            await bench.client.raise_event(f"torn-{number}", "news", "1")
        await bench.goes_on()
        assert await bench.account.queues.count(CONTROL) == 40

    play(scenario, control_queue_buffer_threshold=32)


def test_more_messages_with_a_missing_blob_than_the_buffer_holds_do_not_stop_the_others(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        wrapper = messages.to_json(messages.wrapper("gone/message.json.gz"))
        for _ in range(40):
            await bench.account.queues.put(CONTROL, messages.to_text(wrapper, "base64"))
        await bench.goes_on()

    play(scenario, control_queue_buffer_threshold=32)


def test_a_blob_that_cannot_be_read_now_keeps_no_other_message_in_hand(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        hub = TaskHub(bench.account, HubSettings("Other", 1), bench.hub.clock)
        await hub.create()
        deliveries, client = Deliveries(hub, hub.clock), TaskHubClient(hub)
        for name, data in (("first", "1"), ("large", "x" * 70_000), ("last", "1")):
            await client.raise_event(name, "news", data)
        read, hub.large.read = hub.large.read, _unreachable  # type: ignore[method-assign]
        ten, queue = timedelta(seconds=10), hub.names.control_queue_at(0)
        found = await deliveries.take(queue, 32, ten)
        assert [delivery.task.instance_id for delivery in found] == ["first", "last"]
        assert deliveries.count == 2
        for delivery in found:
            await deliveries.done(delivery)
        hub.large.read = read  # type: ignore[method-assign]
        await asyncio.sleep(11)
        assert [delivery.task.instance_id for delivery in await deliveries.take(queue, 32, ten)] == ["large"]

    play(scenario)


async def _unreachable(name: str) -> bytes:
    raise AccountUnreachable(f"{name} cannot be read now")


def test_a_queue_that_somebody_deleted_does_not_end_the_host(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        queues, failed = bench.account.queues, []
        get = queues.get

        async def gone(queue: str, count: int, visibility: timedelta) -> list[QueueMessage]:
            if failed.count(queue) < 2:
                failed.append(queue)
                raise NotFound(f"there is no queue {queue}")
            return await get(queue, count, visibility)

        queues.get = gone  # type: ignore[method-assign]
        await bench.goes_on()
        assert failed == [CONTROL, CONTROL, WORK, WORK]

    play(scenario, replicated=True)  # so that everything goes through the queues


# damaged rows and blobs

ROWS: dict[str, dict[str, Any]] = {
    "an unknown kind of event": {"EventType": "Nonsense"},
    "a kind of event that is a number": {"EventType": 15},
    "no time": {"_Timestamp": "yesterday"},
    "a name of a wrong kind": {"Name": 7},
    "an input in a blob that is missing": {"InputBlobName": "nowhere.gz"},
    "an input in a blob with an empty name": {"InputBlobName": ""},
    "an instance that is no object": {"OrchestrationInstance": "[["},
    "another execution": {"ExecutionId": "somebody else's"},
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_damaged_history_row_concerns_its_own_instance_only(play: Play, kind: str) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "damaged")
        await bench.start("wait", "whole")
        for name in ("damaged", "whole"):
            await bench.is_waiting(name)
        await bench.damage("damaged", "0000000000000001", **ROWS[kind])
        for name in ("damaged", "whole"):
            await bench.client.raise_event(name, "news", "1")
        assert await bench.ended("whole") == "Completed"
        await bench.goes_on()
        assert (await bench.status("damaged")).instance_id == "damaged"

    play(scenario)


def test_a_sentinel_that_is_missing_or_damaged_concerns_its_own_instance_only(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        for name in ("no sentinel", "bad sentinel"):
            await bench.start("wait", name)
            await bench.is_waiting(name)
        key = {"PartitionKey": "no sentinel", "RowKey": "sentinel"}
        await bench.account.tables.write(bench.hub.names.history, Write("delete", key))
        await bench.damage("bad sentinel", "sentinel", ExecutionId=7, IsCheckpointComplete="perhaps")
        for name in ("no sentinel", "bad sentinel"):
            await bench.client.raise_event(name, "news", "1")
        await bench.goes_on()

    play(scenario)


STATUS_ROWS: dict[str, dict[str, Any]] = {
    "a status of a wrong kind": {"RuntimeStatus": 7},
    "an unknown status": {"RuntimeStatus": "Dreaming"},
    "times of a wrong kind": {"CreatedTime": "yesterday", "LastUpdatedTime": 3},
    "an input that is a number": {"Input": 7},
    "an output that is no JSON": {"Output": "{{{"},
    "a custom status that is no JSON": {"CustomStatus": "[[["},
    "a generation of a wrong kind": {"Generation": "many"},
    "a name of a wrong kind": {"Name": 7},
    "an execution of a wrong kind": {"ExecutionId": True},
}


@pytest.mark.parametrize("kind", STATUS_ROWS)
def test_a_damaged_instances_row_hides_no_other(play: Play, kind: str) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "damaged")
        await bench.is_waiting("damaged")
        await bench.hub.merge_row("damaged", STATUS_ROWS[kind])
        await bench.start("wait", "whole")
        await bench.is_waiting("whole")
        found, _ = await bench.client.list(StatusQuery())
        assert {"damaged", "whole"} <= {status.instance_id for status in found}
        await bench.client.raise_event("damaged", "news", "1")
        await bench.goes_on()

    play(scenario)


def test_a_damaged_blob_of_a_status_is_an_error_for_that_instance_and_shown_as_its_address_in_lists(
    play: Play,
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("plain", "damaged", "x" * 70_000)
        assert await bench.ended("damaged") == "Completed"
        blobs, container = bench.account.blobs, bench.hub.names.large_messages
        async for blob in blobs.list(container, "damaged/"):
            await blobs.put(container, blob.name, b"\x1f\x8b" + bytes(40))
        with pytest.raises(Undecodable, match="damaged"):
            await bench.client.status("damaged")
        [listed], _ = await bench.client.list(StatusQuery())
        assert listed.output is not None and "damaged" in listed.output

    play(scenario)


# real hosts


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Region]:
    """A host that runs as a process of its own on a file."""
    region = Region("Sturdy", "sturdy", tmp_path / "account.db", tmp_path, APP)
    yield region
    region.kill()


@pytest.fixture
def heavy(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--heavy"))


def begin(host: Region, name: str, instance_id: str, data: Any = None) -> None:
    text = json.dumps(json.dumps(data))
    answer = requests.post(f"{host.origin}{HOOK}/orchestrators/{name}/{instance_id}", data=text, timeout=60)
    assert answer.status_code == 202, answer.text


def tell(host: Region, instance_id: str, data: Any) -> None:
    answer = requests.post(f"{host.origin}{HOOK}/instances/{instance_id}/raiseEvent/news", json=data, timeout=60)
    assert answer.status_code == 202, answer.text


def wait_for(host: Region, instance_id: str, state: str, seconds: float = 60.0) -> dict[str, Any]:
    """The status document once the instance is in that state."""
    found: dict[str, Any] = {}

    def there() -> bool:
        answer = requests.get(f"{host.origin}{HOOK}/instances/{instance_id}?showInput=false", timeout=60)
        found.update(answer.json() if answer.status_code in (200, 202) else {})
        return found.get("runtimeStatus") == state

    until(there, host, seconds)
    return found


def test_a_host_starts_on_a_damaged_hub_and_says_what_is_damaged(host: Region) -> None:
    async def damage() -> None:
        account = await open_account(str(host.storage))
        hub = TaskHub(account, HubSettings("Sturdy"))
        await hub.create()
        for queue in (*hub.names.control_queues, hub.names.workitems):
            for text in UNREADABLE.values():
                await account.queues.put(queue, text)
        await account.blobs.put(hub.names.leases, "taskhub.json", b"{{{")
        for number, columns in enumerate(STATUS_ROWS.values()):
            await hub.merge_row(f"strange-{number}", columns)
        await account.close()

    asyncio.run(damage())
    started(host)
    begin(host, "greet", "healthy")
    wait_for(host, "healthy", "Completed")
    listed = requests.get(f"{host.origin}{HOOK}/instances", timeout=10)
    assert len(listed.json()) == len(STATUS_ROWS) + 1
    assert "cannot be read" in host.log.read_text()


def test_an_orchestrator_that_kills_its_worker_leaves_the_others_running(host: Region) -> None:
    started(host)
    begin(host, "kill_the_worker", "killer")
    for number in range(3):
        begin(host, "greet", f"healthy-{number}")
        wait_for(host, f"healthy-{number}", "Completed")
    assert "ended with code 3" in host.log.read_text()
    stopped = requests.post(f"{host.origin}{HOOK}/instances/killer/terminate", timeout=10)
    assert stopped.status_code in (202, 410)


def test_large_values_go_through_input_activity_event_and_output(host: Region, heavy: bool) -> None:
    started(host)
    size = 20_000_000 if heavy else 4_000_000
    first, second = "a" * size, "b" * size
    begin(host, "carry", "large", first)
    wait_for(host, "large", "Running")
    tell(host, "large", second)
    output = wait_for(host, "large", "Completed")["output"]
    assert output == [first, second]
    begin(host, "greet", "healthy")
    wait_for(host, "healthy", "Completed")


@pytest.mark.parametrize("name", ["collect", "sequence"])
def test_a_history_of_many_thousand_events_is_carried_on(host: Region, heavy: bool, name: str) -> None:
    count = 100_000 if heavy else 20_000
    asyncio.run(write_history(host.storage, name, count))
    started(host)
    begin(host, "greet", "beside")
    tell(host, "long", "last")
    wait_for(host, "long", "Completed", 300)
    wait_for(host, "beside", "Completed")
    assert "is being worked on elsewhere" not in host.log.read_text()


async def write_history(storage: Path, name: str, count: int) -> None:
    """An instance `long` with so many events, one short of its end."""
    account = await open_account(str(storage))
    hub = TaskHub(account, HubSettings("Sturdy"))
    await hub.create()
    now, execution_id = hub.clock.now(), "4f6e0c7b9a7d4d3f8f5e1a2b3c4d5e6f"
    goal = count + 1 if name == "collect" else count // 4
    opening = messages.execution_started(now, "long", execution_id, name, json.dumps(str(goal)))
    events = [messages.event(messages.ORCHESTRATOR_STARTED, now), opening]
    if name == "collect":
        events += [messages.event(messages.EVENT_RAISED, now, Name="news", Input=str(n)) for n in range(count)]
        events.append(messages.event(messages.ORCHESTRATOR_COMPLETED, now))
    else:
        for number in range(goal):
            events += [
                messages.event(messages.TASK_SCHEDULED, now, number, Name="hello", Version="", Input=None),
                messages.event(messages.ORCHESTRATOR_COMPLETED, now),
                messages.event(messages.ORCHESTRATOR_STARTED, now),
                messages.event(messages.TASK_COMPLETED, now, TaskScheduledId=number, Result='"Hello Tokyo!"'),
            ]
        last = events.pop()
        await hub.send(TaskMessage(last, "long", execution_id))
        events.pop()
    history = History("long")
    await hub.append_history(history, events, execution_id, 0)
    columns = {"RuntimeStatus": "Running", "Name": name, "CreatedTime": now, "LastUpdatedTime": now}
    await hub.merge_row("long", {**columns, "ExecutionId": execution_id})
    await account.close()


def test_thousands_of_instances_wait_and_hear_their_events_after_a_restart(host: Region, heavy: bool) -> None:
    count = 10_000 if heavy else 400
    started(host)
    names = [f"waiting-{number:05}" for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: begin(host, "wait", name), names))
    wait_for(host, names[-1], "Running", 120)
    host.stop()
    started(host)
    heard = names[:: count // 100]
    for name in heard:
        tell(host, name, name)
    for name in heard:
        assert wait_for(host, name, "Completed")["output"] == name
    running = requests.get(f"{host.origin}{HOOK}/instances?runtimeStatus=Running&top={count}", timeout=60).json()
    assert len(running) == count - len(heard)
