"""What every storage account does, whichever way it is kept."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from taskhub.accounts import Account, Entity, Query, QueueMessage, Row, Where, Write
from taskhub.errors import AccountError, Conflict, NotFound, PreconditionFailed
from tests.taskhub.accounts.conftest import PassTime

pytestmark = pytest.mark.asyncio

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=timezone.utc)
OLD = "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""  # an etag that nothing has
MINUTE = timedelta(minutes=1)
NOW = timedelta(0)
LEASE, OTHER = "811c9dc5-0000-0000-0000-000000000000", "88dd669c-0000-0000-0000-000000000000"
ODD = "ü 订单 😀 'quote' \"double\" 100% a+b&c=d;e,f <tag> $x {y}"


def entity(partition: str = "p", row: str = "r", **columns: str | int | float | bool | datetime) -> Entity:
    return {"PartitionKey": partition, "RowKey": row, **columns}


def insert(partition: str = "p", row: str = "r", **columns: str | int | float | bool | datetime) -> Write:
    return Write("insert", entity(partition, row, **columns))


async def read(account: Account, table: str, query: Query) -> list[Entity]:
    return [row.entity async for row in account.tables.rows(table, query)]


async def got(account: Account, table: str, partition: str = "p", row: str = "r") -> Row:
    found = await account.tables.get(table, partition, row)
    assert found is not None
    return found


# -- tables


async def test_a_table_is_created_once(account: Account, name: str) -> None:
    assert await account.tables.create(name) is True
    assert await account.tables.create(name) is False
    assert name in await account.tables.names()


async def test_a_tables_name_may_be_written_in_any_case(account: Account, table: str, kind: str) -> None:
    if kind == "azurite":
        pytest.skip("Azurite tells the cases apart, Azure does not")
    assert await account.tables.create(table.upper()) is False
    await account.tables.write(table.upper(), insert())
    assert await account.tables.get(table, "p", "r") is not None


async def test_a_dropped_table_is_gone_with_its_rows(account: Account, table: str) -> None:
    await account.tables.write(table, insert())
    await account.tables.drop(table)
    await account.tables.drop(table)
    assert table not in await account.tables.names()
    await account.tables.create(table)
    assert await account.tables.get(table, "p", "r") is None


async def test_a_missing_table_is_not_found(account: Account, name: str) -> None:
    with pytest.raises(NotFound):
        await account.tables.get(name, "p", "r")
    with pytest.raises(NotFound):
        await account.tables.write(name, insert())
    with pytest.raises(NotFound):
        await account.tables.transact(name, [insert()])
    with pytest.raises(NotFound):
        await account.tables.page(name, Query())


async def test_a_value_comes_back_as_the_type_it_was_written_with(account: Account, table: str) -> None:
    written = entity(text="x", number=-1, yes=True, no=False, half=0.5, whole=2.0, moment=MOMENT, big=2**40, empty="")
    await account.tables.write(table, Write("insert", written))
    found = (await got(account, table)).entity
    assert found == written
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in written.items()}


async def test_a_column_that_is_null_is_absent(account: Account, table: str) -> None:
    await account.tables.write(table, Write("insert", {**entity(kept=1), "gone": None}))  # type: ignore[dict-item]
    assert (await got(account, table)).entity == entity(kept=1)


async def test_empty_and_odd_keys_are_keys(account: Account, table: str) -> None:
    for partition, row in [("", ""), ("p", ""), ("", "r"), ("it's", "ü 😀 100%+&=;,$"), ("a^0b", "{x}@y:20")]:
        await account.tables.write(table, insert(partition, row, text=ODD))
        assert (await got(account, table, partition, row)).entity == entity(partition, row, text=ODD)
        assert await read(account, table, Query([Where("PartitionKey", "eq", partition), Where("RowKey", "eq", row)]))


@pytest.mark.parametrize("bad", ["a/b", "a\\b", "a#b", "a?b"])
async def test_a_key_that_azure_refuses_is_refused(account: Account, table: str, bad: str, kind: str) -> None:
    if kind == "azurite":
        pytest.skip("Azurite takes these keys, Azure does not")
    with pytest.raises(AccountError):
        await account.tables.write(table, insert(bad))


async def test_a_string_of_64_kib_fits_and_a_longer_one_is_refused(account: Account, table: str) -> None:
    await account.tables.write(table, insert(text="ü" * 32768))
    assert (await got(account, table)).entity["text"] == "ü" * 32768
    with pytest.raises(AccountError):
        await account.tables.write(table, insert(row="long", text="ü" * 32769))


async def test_an_insert_of_an_existing_row_is_a_conflict(account: Account, table: str) -> None:
    await account.tables.write(table, insert(n=1))
    with pytest.raises(Conflict):
        await account.tables.write(table, insert(n=2))
    assert (await got(account, table)).entity["n"] == 1


async def test_replace_forgets_other_columns_and_merge_keeps_them(account: Account, table: str) -> None:
    await account.tables.write(table, insert(a=1, b=MOMENT))
    await account.tables.write(table, Write("upsert", entity(c="x"), "merge"))
    assert (await got(account, table)).entity == entity(a=1, b=MOMENT, c="x")
    await account.tables.write(table, Write("update", entity(b="text"), "merge"))
    assert (await got(account, table)).entity == entity(a=1, b="text", c="x")
    await account.tables.write(table, Write("update", entity(d=1)))
    assert (await got(account, table)).entity == entity(d=1)
    await account.tables.write(table, Write("upsert", entity(e=1)))
    assert (await got(account, table)).entity == entity(e=1)


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_an_upsert_makes_a_missing_row_and_an_update_does_not(account: Account, table: str, mode: str) -> None:
    await account.tables.write(table, Write("upsert", entity(row="made"), mode))  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await account.tables.write(table, Write("update", entity(row="missing"), mode))  # type: ignore[arg-type]
    assert await account.tables.get(table, "p", "missing") is None


async def test_a_write_with_the_current_etag_passes_and_gives_a_new_one(account: Account, table: str) -> None:
    first = await account.tables.write(table, insert(n=1))
    assert (await got(account, table)).etag == first
    second = await account.tables.write(table, Write("update", entity(n=2), "merge", first))
    assert second != first and (await got(account, table)).etag == second


async def test_a_write_with_an_old_etag_fails_and_changes_nothing(account: Account, table: str) -> None:
    old = await account.tables.write(table, insert(n=1))
    await account.tables.write(table, Write("update", entity(n=2)))
    for write in (Write("update", entity(n=3), etag=old), Write("delete", entity(), etag=old)):
        with pytest.raises(PreconditionFailed):
            await account.tables.write(table, write)
    assert (await got(account, table)).entity["n"] == 2


async def test_a_row_made_again_has_another_etag(account: Account, table: str) -> None:
    old = await account.tables.write(table, insert())
    await account.tables.write(table, Write("delete", entity()))
    await account.tables.write(table, insert())
    with pytest.raises(PreconditionFailed):
        await account.tables.write(table, Write("delete", entity(), etag=old))


async def test_a_delete_takes_the_row_away_once(account: Account, table: str) -> None:
    etag = await account.tables.write(table, insert())
    assert await account.tables.write(table, Write("delete", entity(), etag=etag)) == ""
    assert await account.tables.get(table, "p", "r") is None
    with pytest.raises(NotFound):
        await account.tables.write(table, Write("delete", entity()))


async def test_a_row_carries_the_time_of_its_last_write(account: Account, table: str, pass_time: PassTime) -> None:
    await account.tables.write(table, insert())
    first = (await got(account, table)).timestamp
    await pass_time(0.01)
    await account.tables.write(table, Write("upsert", entity()))
    second = (await got(account, table)).timestamp
    assert first < second and second.tzinfo is not None
    newer = Query([Where("Timestamp", "gt", first)])
    assert await read(account, table, newer) == [entity()]


async def test_a_transaction_takes_100_rows_of_one_partition(account: Account, table: str) -> None:
    writes = [insert(row=f"{n:03}", n=n) for n in range(100)]
    etags = await account.tables.transact(table, writes)
    rows = [row async for row in account.tables.rows(table)]
    assert [row.etag for row in rows] == etags and len(rows) == 100


async def test_a_transaction_mixes_kinds_and_answers_in_order(account: Account, table: str) -> None:
    etag = await account.tables.write(table, insert(row="a", n=1))
    await account.tables.write(table, insert(row="b", n=1))
    etags = await account.tables.transact(
        table,
        [
            Write("update", entity(row="a", m=2), "merge", etag),
            Write("delete", entity(row="b")),
            insert(row="c"),
            Write("upsert", entity(row="d", n=4)),
        ],
    )
    assert await read(account, table, Query()) == [entity(row="a", n=1, m=2), entity(row="c"), entity(row="d", n=4)]
    assert etags[0] == (await got(account, table, "p", "a")).etag and etags[1] == ""


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (insert(row="there"), Conflict),
        (Write("update", entity(row="missing")), NotFound),
        (Write("delete", entity(row="missing")), NotFound),
        (Write("update", entity(row="there"), etag=OLD), PreconditionFailed),
    ],
)
async def test_a_transaction_that_fails_changes_nothing(
    account: Account, table: str, last: Write, error: type[Exception]
) -> None:
    await account.tables.write(table, insert(row="there", n=1))
    with pytest.raises(error):
        await account.tables.transact(table, [insert(row="new"), Write("upsert", entity(row="there", n=2)), last][::2])
    assert await read(account, table, Query()) == [entity(row="there", n=1)]


async def test_a_transaction_that_azure_refuses_is_refused(account: Account, table: str) -> None:
    with pytest.raises(AccountError):
        await account.tables.transact(table, [insert(row=f"{n:03}") for n in range(101)])
    with pytest.raises(AccountError):
        await account.tables.transact(table, [insert("p"), insert("q")])
    with pytest.raises(AccountError):
        await account.tables.transact(table, [insert(n=1), Write("upsert", entity(n=2))])
    assert await read(account, table, Query()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), "a1 a2 b1 c1"),
        (Query([Where("PartitionKey", "eq", "a")]), "a1 a2"),
        (Query([Where("PartitionKey", "ge", "b"), Where("PartitionKey", "lt", "c")]), "b1"),
        (Query([Where("PartitionKey", "eq", "a"), Where("RowKey", "gt", "1")]), "a2"),
        (Query([Where("text", "eq", "it's")]), "a1"),
        (Query([Where("text", "ne", "it's")]), "a2"),
        (Query([Where("n", "ge", 2)]), "a2 b1"),
        (Query([Where("n", "lt", 3), Where("yes", "eq", True)]), "a1"),
        (Query([Where("yes", "eq", False)]), "a2"),
        (Query([Where("moment", "le", MOMENT)]), "a1"),
        (Query([Where("moment", "gt", MOMENT)]), "b1"),
        (Query(any_of=[Where("n", "eq", 1), Where("n", "eq", 3)]), "a1 b1"),
        (Query([Where("PartitionKey", "eq", "b")], any_of=[Where("n", "eq", 1), Where("n", "eq", 3)]), "b1"),
        (Query([Where("nowhere", "eq", 1)]), ""),
    ],
)
async def test_a_query_returns_the_rows_that_match_in_the_order_of_their_keys(
    account: Account, table: str, query: Query, expected: str
) -> None:
    await account.tables.write(table, insert("b", "1", n=3, moment=MOMENT + timedelta(seconds=1)))
    await account.tables.write(table, insert("a", "2", n=2, text="other", yes=False))
    await account.tables.write(table, insert("a", "1", n=1, text="it's", yes=True, moment=MOMENT))
    await account.tables.write(table, insert("c", "1"))
    found = [f"{row['PartitionKey']}{row['RowKey']}" for row in await read(account, table, query)]
    assert found == expected.split()


async def test_a_query_returns_the_selected_columns_and_the_keys(account: Account, table: str) -> None:
    await account.tables.write(table, insert(a=1, b=2, moment=MOMENT))
    assert await read(account, table, Query(select=["a", "moment", "c"])) == [entity(a=1, moment=MOMENT)]


async def test_pages_follow_one_another_to_the_end(account: Account, table: str) -> None:
    for partition in "abcde":
        await account.tables.write(table, insert(partition, ""))
    found, token = [], None
    while True:
        page = await account.tables.page(table, Query([Where("PartitionKey", "gt", "a")]), token, size=3)
        found.append([row.entity["PartitionKey"] for row in page.rows])
        if (token := page.token) is None:
            break
    assert found in ([["b", "c", "d"], ["e"]], [["b", "c", "d"], ["e"], []])


async def test_a_token_that_is_none_of_ours_is_refused(account: Account, table: str) -> None:
    with pytest.raises(AccountError):
        await account.tables.page(table, Query(), token="nonsense")


async def test_rows_reads_over_the_ends_of_pages(account: Account, table: str) -> None:
    for start in range(0, 1100, 100):
        await account.tables.transact(table, [insert(row=f"{n:05}") for n in range(start, start + 100)])
    assert len(await read(account, table, Query())) == 1100


async def test_writes_of_many_tasks_at_once_all_arrive(account: Account, table: str) -> None:
    await asyncio.gather(*(account.tables.write(table, insert(row=f"{n:02}")) for n in range(40)))
    assert len(await read(account, table, Query())) == 40


async def test_of_many_writers_with_one_etag_one_wins(account: Account, table: str) -> None:
    etag = await account.tables.write(table, insert())
    writes = (account.tables.write(table, Write("update", entity(n=n), etag=etag)) for n in range(8))
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["PreconditionFailed"] * 7 + ["str"]


# -- queues


async def take(account: Account, queue: str, visibility: timedelta = MINUTE) -> QueueMessage:
    (message,) = await account.queues.get(queue, 1, visibility)
    return message


async def test_a_queue_is_created_once_and_listed_by_prefix(account: Account, name: str) -> None:
    assert await account.queues.create(name) is True
    assert await account.queues.create(name) is False
    assert await account.queues.names(name[:10]) == [name]


async def test_a_dropped_queue_is_not_found(account: Account, queue: str) -> None:
    await account.queues.drop(queue)
    await account.queues.drop(queue)
    for call in (account.queues.put(queue, "x"), account.queues.get(queue, 1, MINUTE), account.queues.count(queue)):
        with pytest.raises(NotFound):
            await call


async def test_a_taken_message_is_invisible_and_counted(account: Account, queue: str) -> None:
    sent = await account.queues.put(queue, ODD)
    taken = await take(account, queue)
    assert (taken.id, taken.text, taken.dequeue_count) == (sent.id, ODD, 1)
    assert taken.next_visible - taken.inserted >= timedelta(seconds=59)
    assert await account.queues.get(queue, 32, MINUTE) == []
    assert await account.queues.count(queue) == 1


async def test_a_message_is_visible_again_after_its_time(account: Account, queue: str, pass_time: PassTime) -> None:
    await account.queues.put(queue, "x")
    first = await take(account, queue, timedelta(seconds=1))
    await pass_time(1.05)
    second = await take(account, queue)
    assert (second.id, second.dequeue_count) == (first.id, 2)
    with pytest.raises(NotFound):
        await account.queues.delete(queue, first)
    await account.queues.delete(queue, second)


async def test_a_delayed_message_is_invisible_until_its_time(account: Account, queue: str, pass_time: PassTime) -> None:
    await account.queues.put(queue, "x", timedelta(seconds=1))
    assert await account.queues.get(queue, 1, MINUTE) == await account.queues.peek(queue) == []
    assert await account.queues.count(queue) == 1
    await pass_time(1.05)
    assert (await take(account, queue)).text == "x"


async def test_a_pop_receipt_outlives_its_time_while_nobody_takes_the_message(
    account: Account, queue: str, pass_time: PassTime
) -> None:
    await account.queues.put(queue, "x")
    taken = await take(account, queue, timedelta(seconds=1))
    await pass_time(1.05)
    await account.queues.delete(queue, taken)
    assert await account.queues.count(queue) == 0


async def test_the_sender_may_delete_its_message(account: Account, queue: str) -> None:
    sent = await account.queues.put(queue, "x", MINUTE)
    await account.queues.delete(queue, sent)
    assert await account.queues.count(queue) == 0
    with pytest.raises(NotFound):
        await account.queues.delete(queue, sent)


async def test_an_update_gives_a_new_pop_receipt_and_keeps_the_text(account: Account, queue: str) -> None:
    await account.queues.put(queue, ODD)
    taken = await take(account, queue)
    updated = await account.queues.update(queue, taken, NOW)
    assert updated.pop_receipt != taken.pop_receipt and updated.text == ODD
    for call in (account.queues.update(queue, taken, NOW), account.queues.delete(queue, taken)):
        with pytest.raises(NotFound):
            await call
    again = await take(account, queue)
    assert (again.text, again.dequeue_count) == (ODD, 2)


async def test_an_update_can_change_the_text(account: Account, queue: str) -> None:
    await account.queues.put(queue, "old")
    updated = await account.queues.update(queue, await take(account, queue), NOW, "new")
    assert updated.text == "new"
    assert [message.text for message in await account.queues.peek(queue)] == ["new"]


async def test_a_get_takes_up_to_32_messages_oldest_first(account: Account, queue: str) -> None:
    for n in range(34):
        await account.queues.put(queue, str(n))
    first = await account.queues.get(queue, 32, MINUTE)
    assert [message.text for message in first] == [str(n) for n in range(32)]
    assert [message.text for message in await account.queues.get(queue, 32, MINUTE)] == ["32", "33"]
    for count in (0, 33):
        with pytest.raises(AccountError):
            await account.queues.get(queue, count, MINUTE)


async def test_a_peek_leaves_messages_as_they_are(account: Account, queue: str) -> None:
    sent = await account.queues.put(queue, "x")
    (peeked,) = await account.queues.peek(queue)
    assert (peeked.id, peeked.text, peeked.dequeue_count, peeked.pop_receipt) == (sent.id, "x", 0, "")
    assert (await take(account, queue)).dequeue_count == 1


async def test_clear_takes_all_messages_away(account: Account, queue: str) -> None:
    await account.queues.put(queue, "x")
    await account.queues.put(queue, "y", MINUTE)
    await account.queues.clear(queue)
    assert await account.queues.count(queue) == 0


async def test_each_message_is_given_to_one_of_many_takers(account: Account, queue: str) -> None:
    for n in range(20):
        await account.queues.put(queue, str(n))
    batches = await asyncio.gather(*(account.queues.get(queue, 5, MINUTE) for _ in range(6)))
    taken = [message.text for batch in batches for message in batch]
    assert sorted(taken, key=int) == [str(n) for n in range(20)]


@pytest.mark.parametrize("text", ["", "\r\n\t lines \x85\n", "x" * 65536, "😀 ü" * 1000])
async def test_a_text_comes_back_untouched(account: Account, queue: str, text: str) -> None:
    await account.queues.put(queue, text)
    assert (await take(account, queue)).text == text


@pytest.mark.parametrize("text", ["a\x00b", "a\x1fb", "a\ud800b", "a\ufffeb"])
async def test_a_text_that_would_be_lost_on_its_way_is_refused(account: Account, queue: str, text: str) -> None:
    with pytest.raises(AccountError, match="cannot hold"):
        await account.queues.put(queue, text)
    sent = await account.queues.put(queue, "good")
    with pytest.raises(AccountError, match="cannot hold"):
        await account.queues.update(queue, sent, NOW, text)
    assert [message.text for message in await account.queues.peek(queue)] == ["good"]


async def test_a_message_over_64_kib_is_refused(account: Account, queue: str) -> None:
    for text in ("x" * 65537, "ü" * 32769):
        with pytest.raises(AccountError):
            await account.queues.put(queue, text)
    assert await account.queues.count(queue) == 0


async def test_a_waiter_is_woken_by_a_put_of_this_process(account: Account, queue: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiter = asyncio.create_task(account.queues.arrived(["other", queue], 30))
    await asyncio.sleep(0)
    await account.queues.put(queue, "x")
    await asyncio.wait_for(waiter, 10)
    assert loop.time() - began < 5


async def test_a_wait_ends_after_its_timeout(account: Account, queue: str) -> None:
    await asyncio.wait_for(account.queues.arrived([queue], 0.02), 5)


async def test_a_wait_can_be_cancelled(account: Account, queue: str) -> None:
    waiter = asyncio.create_task(account.queues.arrived([queue], 30))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


# -- blobs


async def test_a_container_is_created_once_and_listed_by_prefix(account: Account, name: str) -> None:
    assert await account.blobs.create(name) is True
    assert await account.blobs.create(name) is False
    assert await account.blobs.names(name[:10]) == [name]


async def test_a_dropped_container_is_gone_with_its_blobs(account: Account, container: str) -> None:
    await account.blobs.put(container, "a", b"x")
    await account.blobs.drop(container)
    await account.blobs.drop(container)
    assert await account.blobs.properties(container, "a") is None
    with pytest.raises(NotFound):
        await account.blobs.get(container, "a")
    with pytest.raises(NotFound):
        await account.blobs.put(container, "a", b"x")
    assert [blob async for blob in account.blobs.list(container)] == []


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
async def test_a_blob_comes_back_as_it_was_written(account: Account, container: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    etag = await account.blobs.put(container, "intent/a b ü %41?#&+='", data[:size])
    assert await account.blobs.get(container, "intent/a b ü %41?#&+='") == data[:size]
    found = await account.blobs.properties(container, "intent/a b ü %41?#&+='")
    assert found is not None and (found.name, found.size, found.etag, found.leased) == (
        "intent/a b ü %41?#&+='",
        size,
        etag,
        False,
    )


async def test_a_write_replaces_a_blob_and_its_etag(account: Account, container: str) -> None:
    first = await account.blobs.put(container, "a", b"1")
    second = await account.blobs.put(container, "a", b"2", if_match=first)
    assert first != second and await account.blobs.get(container, "a") == b"2"
    with pytest.raises(PreconditionFailed):
        await account.blobs.put(container, "a", b"3", if_match=first)
    assert await account.blobs.get(container, "a") == b"2"


async def test_a_new_blob_is_written_only_once(account: Account, container: str) -> None:
    await account.blobs.put(container, "a", b"1", only_new=True)
    with pytest.raises(Conflict):
        await account.blobs.put(container, "a", b"2", only_new=True)
    with pytest.raises(PreconditionFailed):
        await account.blobs.put(container, "missing", b"1", if_match='"0x1"')


async def test_a_large_blob_keeps_the_conditions_of_a_small_one(account: Account, container: str) -> None:
    large = bytes(3_000_000)
    first = await account.blobs.put(container, "a", large, only_new=True)
    with pytest.raises(Conflict):
        await account.blobs.put(container, "a", large, only_new=True)
    second = await account.blobs.put(container, "a", large, if_match=first)
    with pytest.raises(PreconditionFailed):
        await account.blobs.put(container, "a", large, if_match=first)
    await account.blobs.acquire_lease(container, "a", 60, LEASE)
    with pytest.raises(PreconditionFailed):
        await account.blobs.put(container, "a", large)
    assert await account.blobs.put(container, "a", large, lease_id=LEASE) != second


async def test_a_blob_is_deleted_once(account: Account, container: str) -> None:
    await account.blobs.put(container, "a", b"1")
    assert await account.blobs.delete(container, "a") is True
    assert await account.blobs.delete(container, "a") is False


async def test_blobs_are_listed_by_prefix_in_order(account: Account, container: str) -> None:
    for blob in ("b/2", "a", "b/1", "b_"):
        await account.blobs.put(container, blob, b"x")
    assert [blob.name async for blob in account.blobs.list(container, "b/")] == ["b/1", "b/2"]
    assert [blob.name async for blob in account.blobs.list(container)] == ["a", "b/1", "b/2", "b_"]


async def test_an_address_names_its_container_and_blob(account: Account) -> None:
    url = account.blobs.url("hub-largemessages", "order 1/message-ü.json.gz")
    assert account.blobs.parse_url(url) == ("hub-largemessages", "order 1/message-ü.json.gz")
    assert account.blobs.parse_url("https://other.blob.example.net/c/b") is None


@pytest.fixture(params=["container", "blob"])
def leasable(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "container" else "a"


async def test_a_lease_is_held_by_one_id(account: Account, container: str, leasable: str | None) -> None:
    await account.blobs.put(container, "a", b"x")
    assert await account.blobs.leased(container, leasable) is False
    assert await account.blobs.acquire_lease(container, leasable, 60, LEASE) == LEASE
    assert await account.blobs.acquire_lease(container, leasable, 60, LEASE) == LEASE
    assert await account.blobs.leased(container, leasable) is True
    with pytest.raises(Conflict):
        await account.blobs.acquire_lease(container, leasable, 60)
    with pytest.raises(Conflict):
        await account.blobs.renew_lease(container, leasable, OTHER)
    with pytest.raises(Conflict):
        await account.blobs.release_lease(container, leasable, OTHER)
    await account.blobs.renew_lease(container, leasable, LEASE)
    await account.blobs.release_lease(container, leasable, LEASE)
    assert await account.blobs.leased(container, leasable) is False


async def test_a_lease_without_an_id_gets_one(account: Account, container: str) -> None:
    lease = await account.blobs.acquire_lease(container, None, -1)
    await account.blobs.renew_lease(container, None, lease)
    await account.blobs.release_lease(container, None, lease)


async def test_a_lease_changes_hands(account: Account, container: str, leasable: str | None) -> None:
    await account.blobs.put(container, "a", b"x")
    with pytest.raises(Conflict):
        await account.blobs.change_lease(container, leasable, LEASE, OTHER)
    await account.blobs.acquire_lease(container, leasable, 60, LEASE)
    await account.blobs.change_lease(container, leasable, LEASE, OTHER)
    with pytest.raises(Conflict):
        await account.blobs.renew_lease(container, leasable, LEASE)
    await account.blobs.renew_lease(container, leasable, OTHER)


async def test_a_broken_lease_is_free_and_not_renewable(account: Account, container: str, leasable: str | None) -> None:
    await account.blobs.put(container, "a", b"x")
    await account.blobs.break_lease(container, leasable)
    await account.blobs.acquire_lease(container, leasable, 60, LEASE)
    await account.blobs.break_lease(container, leasable)
    await account.blobs.break_lease(container, leasable)
    assert await account.blobs.leased(container, leasable) is False
    with pytest.raises(Conflict):
        await account.blobs.renew_lease(container, leasable, LEASE)
    with pytest.raises(Conflict):
        await account.blobs.change_lease(container, leasable, LEASE, OTHER)
    await account.blobs.acquire_lease(container, leasable, 60, OTHER)


async def test_a_released_lease_is_nobodys(account: Account, container: str, leasable: str | None) -> None:
    await account.blobs.put(container, "a", b"x")
    await account.blobs.acquire_lease(container, leasable, 60, LEASE)
    await account.blobs.release_lease(container, leasable, LEASE)
    for call in (
        account.blobs.renew_lease(container, leasable, LEASE),
        account.blobs.release_lease(container, leasable, LEASE),
    ):
        with pytest.raises(Conflict):
            await call


async def test_nothing_can_be_leased_where_nothing_is(account: Account, container: str, name: str) -> None:
    with pytest.raises(NotFound):
        await account.blobs.acquire_lease(container, "missing", 15)
    with pytest.raises(NotFound):
        await account.blobs.acquire_lease(f"{name}-missing", None, 15)
    assert await account.blobs.leased(container, "missing") is False
    assert await account.blobs.leased(f"{name}-missing", None) is False
    await account.blobs.break_lease(container, "missing")


async def test_a_lease_lasts_15_to_60_seconds_or_for_ever(account: Account, container: str) -> None:
    for seconds in (0, 14, 61):
        with pytest.raises(AccountError):
            await account.blobs.acquire_lease(container, None, seconds)


async def test_a_leased_blob_is_written_only_by_its_holder(account: Account, container: str) -> None:
    await account.blobs.put(container, "a", b"1")
    await account.blobs.acquire_lease(container, "a", 60, LEASE)
    for lease in (None, OTHER):
        with pytest.raises(PreconditionFailed):
            await account.blobs.put(container, "a", b"2", lease_id=lease)
        with pytest.raises(PreconditionFailed):
            await account.blobs.delete(container, "a", lease_id=lease)
    await account.blobs.put(container, "a", b"3", lease_id=LEASE)
    found = await account.blobs.properties(container, "a")
    assert found is not None and found.leased and await account.blobs.get(container, "a") == b"3"
    assert [blob.leased async for blob in account.blobs.list(container)] == [True]
    assert await account.blobs.delete(container, "a", lease_id=LEASE) is True


async def test_a_lease_that_is_not_held_cannot_write(account: Account, container: str) -> None:
    await account.blobs.put(container, "a", b"1")
    with pytest.raises(PreconditionFailed):
        await account.blobs.put(container, "a", b"2", lease_id=LEASE)


async def test_a_containers_lease_does_not_hold_back_its_blobs(account: Account, container: str) -> None:
    await account.blobs.acquire_lease(container, None, 60, LEASE)
    await account.blobs.put(container, "a", b"1")
    assert await account.blobs.delete(container, "a") is True
    with pytest.raises(PreconditionFailed):
        await account.blobs.drop(container)


async def test_of_many_who_want_a_lease_one_gets_it(account: Account, container: str) -> None:
    calls = (account.blobs.acquire_lease(container, None, 60) for _ in range(6))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 5 + ["str"]


async def test_a_lease_that_ran_out_is_free_to_take_and_no_longer_to_change(
    account: Account, container: str, leasable: str | None, kind: str, pass_time: PassTime
) -> None:
    if kind == "azurite":
        pytest.skip("it would take 15 real seconds")
    await account.blobs.put(container, "a", b"x")
    await account.blobs.acquire_lease(container, leasable, 15, LEASE)
    await pass_time(15)
    assert await account.blobs.leased(container, leasable) is False
    with pytest.raises(Conflict):
        await account.blobs.change_lease(container, leasable, LEASE, OTHER)
    await account.blobs.renew_lease(container, leasable, LEASE)
    assert await account.blobs.leased(container, leasable) is True
    await pass_time(15)
    await account.blobs.acquire_lease(container, leasable, 15, OTHER)
    with pytest.raises(Conflict):
        await account.blobs.renew_lease(container, leasable, LEASE)


async def test_a_lease_that_ran_out_cannot_be_renewed_after_a_write(
    account: Account, container: str, kind: str, pass_time: PassTime
) -> None:
    if kind == "azurite":
        pytest.skip("it would take 15 real seconds")
    await account.blobs.put(container, "a", b"x")
    await account.blobs.acquire_lease(container, "a", 15, LEASE)
    await pass_time(15)
    with pytest.raises(PreconditionFailed):
        await account.blobs.put(container, "a", b"y", lease_id=LEASE)
    await account.blobs.put(container, "a", b"y")
    with pytest.raises(Conflict):
        await account.blobs.renew_lease(container, "a", LEASE)


async def test_an_endless_lease_does_not_run_out(
    account: Account, container: str, kind: str, pass_time: PassTime
) -> None:
    await account.blobs.acquire_lease(container, None, -1, LEASE)
    await pass_time(0.1 if kind == "azurite" else 1e6)
    assert await account.blobs.leased(container, None) is True


@pytest.mark.parametrize("bad", ["", "x", "UPPER", "a--b", "-ab", "under_score", "x" * 64])
async def test_a_name_that_azure_refuses_is_refused(account: Account, bad: str, kind: str) -> None:
    with pytest.raises(AccountError):
        await account.queues.create(bad)
    with pytest.raises(AccountError):
        await account.blobs.create(bad)
    with pytest.raises(AccountError):
        await account.tables.create("1table")
