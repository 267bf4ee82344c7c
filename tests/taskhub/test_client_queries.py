"""What a client asks of a hub, and what it deletes."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone

import pytest

from taskhub.accounts import Account
from taskhub.client import StatusQuery, TaskHubClient
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable, NotFound
from taskhub.hub import TaskHub
from taskhub.instances import ALL_STATES
from tests.taskhub import golden, normal
from tests.taskhub.hubs import QUEUE, Broken, envelopes, instance, open_recorded, queued

# purge


async def test_a_purge_leaves_what_was_recorded(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "02", clock)
    assert await client.purge("order-1") == 1
    after = golden.recorded("19")
    for table, rows in after["tables"].items():
        assert [row async for row in account.tables.rows(table)] == rows == []
    assert await client.purge("order-1") == 0


async def test_a_purge_deletes_its_own_blobs_and_nobody_elses(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "14", clock)
    await client.start("big", "order-10", '"' + "x" * 70_000 + '"')
    await client.purge("order-1")
    names = [blob.name async for blob in account.blobs.list("goldenhub-largemessages")]
    assert len(names) == 1 and names[0].startswith("order-10/")
    assert await client.status("order-10") is not None


@pytest.mark.parametrize("status", sorted(ALL_STATES))
async def test_a_purge_by_id_asks_for_no_state(hub: TaskHub, client: TaskHubClient, status: str) -> None:
    await instance(hub, "a", status)
    assert await client.purge("a") == 1


async def test_a_purge_leaves_messages_in_their_queue(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("shop", "a", None)
    await client.purge("a")
    assert len(await queued(hub)) == 1


async def test_an_instance_with_a_missing_blob_can_be_purged(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Running", Input=hub.large.url("a/gone.json.gz"))
    assert await client.purge("a") == 1


async def test_a_purge_that_was_cut_short_can_be_repeated(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Completed")
    tables, hub.account.tables = hub.account.tables, Broken(hub.account.tables, "write")
    with pytest.raises(AccountUnreachable):
        await client.purge("a")
    hub.account.tables = tables
    assert await client.purge("a") == 1


@pytest.mark.parametrize(
    ("statuses", "left"),
    [
        (["Completed"], "bcd"),
        (["Completed", "Failed"], "cd"),
        (["Completed", "Running"], "bcd"),
        (["Running"], ""),
        ([], ""),
    ],
)
async def test_a_purge_by_filter_counts_terminal_states_only(
    hub: TaskHub, client: TaskHubClient, statuses: list[str], left: str
) -> None:
    for instance_id, status in zip("abcd", ["Completed", "Failed", "Running", "Suspended"], strict=True):
        await instance(hub, instance_id, status)
    assert await client.purge_by(StatusQuery(statuses=statuses)) == 4 - len(left)
    rest, _ = await client.list(StatusQuery())
    assert [status.instance_id for status in rest] == list(left)


async def test_a_purge_by_time_takes_what_was_created_then(
    hub: TaskHub, client: TaskHubClient, clock: ManualClock
) -> None:
    begin = clock.now()
    for number in range(40):
        await instance(hub, f"i{number:02d}", "Completed")
        clock.advance(timedelta(minutes=1))
    query = StatusQuery(created_from=begin + timedelta(minutes=5), created_to=begin + timedelta(minutes=34))
    assert await client.purge_by(query) == 30
    assert await client.purge_by(query) == 0
    rest, _ = await client.list(StatusQuery())
    assert [status.instance_id for status in rest] == [f"i{n:02d}" for n in (*range(5), *range(35, 40))]


# status and list


async def test_the_status_of_no_instance_is_none(client: TaskHubClient) -> None:
    assert await client.status("nobody") is None
    assert await client.history("nobody") == []


async def test_an_input_is_left_out_when_nobody_asks(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Running", Input=hub.large.url("a/gone.json.gz"))
    status = await client.status("a", show_input=False)
    assert status is not None and status.input is None


async def test_a_status_without_its_blob_is_not_found_and_a_list_shows_the_address(
    hub: TaskHub, client: TaskHubClient
) -> None:
    await instance(hub, "a", "Running", Input=(url := hub.large.url("a/gone.json.gz")))
    await instance(hub, "b", "Completed", Output="1")
    with pytest.raises(NotFound):
        await client.status("a")
    found, _ = await client.list(StatusQuery())
    assert [(status.instance_id, status.input, status.output) for status in found] == [
        ("a", url, None),
        ("b", None, "1"),
    ]


async def test_a_reason_that_looks_like_an_address_is_shown_as_it_is(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Terminated", Output="http://[see the ticket")
    status = await client.status("a")
    assert status is not None and status.output == "http://[see the ticket"


async def test_a_pending_instance_has_no_history_to_show(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("shop", "a", None)
    assert await client.history("a") == []


async def test_a_rewound_instance_that_still_waits_has_no_history_to_show(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "18", clock)
    assert await client.history("order-1") == []


async def test_the_history_of_a_recorded_instance_is_shown(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "02", clock)
    shown = await client.history("order-1", show_output=True)
    kinds = ["ExecutionStarted", *["TaskCompleted"] * 3, "ExecutionCompleted"]
    assert [event["EventType"] for event in shown] == kinds
    status = golden.recorded("02")["status"]["statusBody"]
    assert shown[-1]["Result"] == status["output"]


async def every_page(client: TaskHubClient, query: StatusQuery, top: int) -> list[list[str]]:
    pages, token = [], None
    while True:
        found, token = await client.list(query, top, token)
        pages.append([status.instance_id for status in found])
        if token is None:
            return pages


async def test_pages_hold_every_instance_once_in_the_order_of_ids(hub: TaskHub, client: TaskHubClient) -> None:
    ids = ["B", "a", "a/b", "ab", "b", "é", "@c@k"]
    for instance_id in ids:
        await instance(hub, instance_id, "Running")
    pages = await every_page(client, StatusQuery(), 2)
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [instance_id for page in pages for instance_id in page] == ["@c@k", "B", "a", "a/b", "ab", "b", "é"]


@pytest.mark.parametrize(("top", "pages"), [(3, [["a", "b", "c"]]), (2, [["a", "b"], ["c"]]), (100, [["a", "b", "c"]])])
async def test_the_last_page_has_no_token(
    hub: TaskHub, client: TaskHubClient, top: int, pages: list[list[str]]
) -> None:
    for instance_id in "abc":
        await instance(hub, instance_id, "Running")
    await instance(hub, "d", "Completed")
    assert await every_page(client, StatusQuery(statuses=["Running"]), top) == pages


async def test_a_page_may_be_larger_than_the_services(hub: TaskHub, client: TaskHubClient) -> None:
    for number in range(1100):
        await hub.merge_row(f"{number:04d}", {"RuntimeStatus": "Running"})
    found, token = await client.list(StatusQuery(), top=1050)
    assert (len(found), found[-1].instance_id) == (1050, "1049")
    rest, token = await client.list(StatusQuery(), top=1050, token=token)
    assert (len(rest), token) == (50, None)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (StatusQuery(), ["a1", "a2", "b1"]),
        (StatusQuery(prefix="a"), ["a1", "a2"]),
        (StatusQuery(prefix="A"), []),
        (StatusQuery(prefix="a", statuses=["Completed"]), ["a2"]),
        (StatusQuery(statuses=["Completed", "Running"]), ["a1", "a2", "b1"]),
        (StatusQuery(created_from=datetime(2026, 1, 2, 3, 5, 5, tzinfo=timezone.utc)), ["a2", "b1"]),
        (StatusQuery(created_to=datetime(2026, 1, 2, 3, 5, 5, tzinfo=timezone.utc)), ["a1", "a2"]),
    ],
)
async def test_conditions_hold_together_and_times_are_inclusive(
    hub: TaskHub, client: TaskHubClient, clock: ManualClock, query: StatusQuery, ids: list[str]
) -> None:
    for instance_id, status in (("a1", "Running"), ("a2", "Completed"), ("b1", "Completed")):
        await instance(hub, instance_id, status)
        clock.advance(timedelta(minutes=1))
    found, _ = await client.list(query)
    assert [status.instance_id for status in found] == ids


@pytest.mark.parametrize("token", ["nonsense", "bm9uc2Vuc2U=", "e30=", "eyJuZXh0IjogMX0=", "W10=", "é"])
async def test_a_token_that_is_not_ours_is_refused(client: TaskHubClient, token: str) -> None:
    with pytest.raises(ValueError, match="continuation token"):
        await client.list(StatusQuery(), token=token)


async def test_a_token_around_nonsense_is_refused(client: TaskHubClient) -> None:
    token = base64.b64encode(b'{"next": "nonsense"}').decode()
    with pytest.raises(ValueError, match="continuation token"):
        await client.list(StatusQuery(), token=token)


@pytest.mark.parametrize("top", [0, -1])
async def test_a_page_of_nothing_is_refused(client: TaskHubClient, top: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await client.list(StatusQuery(), top)


# entities


async def test_a_signal_is_the_recorded_message(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "12", clock)
    await account.queues.clear(QUEUE)
    await client.signal_entity("@counter@k1", "add", "7")
    (sent,) = await envelopes(client.hub)
    (recorded,) = golden.messages_of("12")
    assert normal.envelope(sent) == normal.envelope(recorded)


async def test_the_state_of_the_recorded_entity_is_read(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "12", clock)
    assert await client.entity_state("@counter@k1") == golden.recorded("12")["entityState"][1] == "1"
    assert await client.entity_state("@counter@nobody") is None
    found, token = await client.list_entities(None, None, None, fetch_state=True)
    assert ([(e.name, e.key, e.state) for e in found], token) == ([("counter", "k1", "1")], None)


async def entity(hub: TaskHub, instance_id: str, state: str | None, exists: bool = True) -> None:
    scheduler = {"exists": exists, **({} if state is None else {"state": state})}
    custom = json.dumps({"entityExists": True} if exists else {})
    await instance(hub, instance_id, "Running", Input=json.dumps(scheduler), CustomStatus=custom)


async def test_entities_are_listed_by_name_and_page(hub: TaskHub, client: TaskHubClient) -> None:
    for key in "abc":
        await entity(hub, f"@counter@{key}", "1")
    await entity(hub, "@countertop@a", "2")
    await instance(hub, "A", "Running")
    found, token = await client.list_entities("Counter", None, None, fetch_state=False, top=2)
    assert [(e.name, e.key, e.state, e.last_operation) for e in found] == [
        ("counter", key, None, hub.clock.now()) for key in "ab"
    ]
    found, token = await client.list_entities("Counter", None, None, fetch_state=False, top=2, token=token)
    assert ([e.key for e in found], token) == (["c"], None)
    found, _ = await client.list_entities(None, None, None, fetch_state=True)
    assert [(e.name, e.key, e.state) for e in found][-1] == ("countertop", "a", "2")


async def test_a_deleted_entity_is_listed_only_with_its_state(hub: TaskHub, client: TaskHubClient) -> None:
    await entity(hub, "@counter@gone", "null", exists=False)
    await entity(hub, "@counter@never", None, exists=False)
    await entity(hub, "@counter@there", "5")
    assert [await client.entity_state(f"@counter@{key}") for key in ("gone", "never", "there")] == ["null", None, "5"]
    with_state, _ = await client.list_entities("counter", None, None, fetch_state=True)
    assert [(e.key, e.state) for e in with_state] == [("gone", "null"), ("there", "5")]
    without, _ = await client.list_entities("counter", None, None, fetch_state=False, top=1)
    assert [(e.key, e.state) for e in without] == [("there", None)]


async def test_entities_are_listed_by_the_time_of_their_last_operation(
    hub: TaskHub, client: TaskHubClient, clock: ManualClock
) -> None:
    await entity(hub, "@c@a", "1")
    begin = clock.now()
    clock.advance(timedelta(hours=1))
    await entity(hub, "@c@b", "1")
    early, _ = await client.list_entities(None, None, begin, fetch_state=False)
    late, _ = await client.list_entities(None, clock.now(), None, fetch_state=False)
    assert ([e.key for e in early], [e.key for e in late]) == (["a"], ["b"])
