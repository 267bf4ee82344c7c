"""Large texts are kept as blobs, and every instance's blobs are its own."""

from __future__ import annotations

import gzip

import pytest

from taskhub.accounts import Account
from taskhub.errors import NotFound, Undecodable
from taskhub.payloads import COLUMN_LIMIT, LargePayloads, is_large_column

CONTAINER = "hub-largemessages"


@pytest.fixture
def large(account: Account) -> LargePayloads:
    return LargePayloads(account, CONTAINER)


@pytest.mark.parametrize(
    ("text", "is_large"),
    [
        ("", False),
        ("x" * COLUMN_LIMIT, False),
        ("x" * (COLUMN_LIMIT + 1), True),
        ("ü" * COLUMN_LIMIT, False),
        ("😀" * (COLUMN_LIMIT // 2), False),
        ("😀" * (COLUMN_LIMIT // 2 + 1), True),
        ("\ud800" * COLUMN_LIMIT, False),
    ],
)
def test_a_column_is_measured_in_utf_16_units(text: str, is_large: bool) -> None:
    assert is_large_column(text) is is_large


async def test_a_text_comes_back_and_is_compressed_in_between(account: Account, large: LargePayloads) -> None:
    text = b'"' + b"x" * 70_000 + b'"'
    name = await large.write("order-1/history-0.json.gz", text)
    assert await large.read(name) == text
    assert len(await account.blobs.get(CONTAINER, name)) < 1000


async def test_the_container_is_made_again_when_somebody_deleted_it(account: Account, large: LargePayloads) -> None:
    await large.write("a/1", b"1")
    await account.blobs.drop(CONTAINER)
    await large.write("a/2", b"2")
    assert await large.read("a/2") == b"2"


async def test_a_missing_blob_is_not_found(large: LargePayloads) -> None:
    with pytest.raises(NotFound):
        await large.read("a/1")


@pytest.mark.parametrize("cut", [3, 12, 25])
async def test_a_damaged_blob_is_undecodable(account: Account, large: LargePayloads, cut: int) -> None:
    name = await large.write("a/1", b"some text that is long enough")
    data = await account.blobs.get(CONTAINER, name)
    await account.blobs.put(CONTAINER, name, data[:cut])
    with pytest.raises(Undecodable, match="a/1"):
        await large.read(name)


async def test_a_blob_whose_middle_was_changed_is_undecodable(account: Account, large: LargePayloads) -> None:
    name = await large.write("a/1", b"some text that is long enough")
    data = bytearray(await account.blobs.get(CONTAINER, name))
    data[12:16] = b"\xff\xff\xff\xff"
    await account.blobs.put(CONTAINER, name, bytes(data))
    with pytest.raises(Undecodable):
        await large.read(name)


async def test_what_is_not_compressed_is_read_as_it_is(account: Account, large: LargePayloads) -> None:
    await large.write("a/1", b"")
    await account.blobs.put(CONTAINER, "a/1", b"plain")
    assert await large.read("a/1") == b"plain"


async def test_a_recorded_blob_is_read(account: Account, large: LargePayloads) -> None:
    await account.blobs.create(CONTAINER)
    await account.blobs.put(CONTAINER, "a/1", gzip.compress(b"of .NET", 9))
    assert await large.read("a/1") == b"of .NET"


async def test_an_address_leads_back_to_its_blob(large: LargePayloads) -> None:
    name = "order 1/message-ü-EventRaised.json.gz"
    assert large.name_of(large.url(name)) == name


@pytest.mark.parametrize("text", ["", "1", '"http://x"', "https://elsewhere.example/hub-largemessages/a/1", "http://["])
async def test_other_texts_are_no_addresses(large: LargePayloads, text: str) -> None:
    assert large.name_of(text) is None


async def test_an_address_in_another_container_is_not_followed(account: Account, large: LargePayloads) -> None:
    assert large.name_of(account.blobs.url("other", "a/1")) is None


async def test_only_the_blobs_of_one_instance_are_deleted(account: Account, large: LargePayloads) -> None:
    for name in ("order-1/a", "order-1/b", "order-10/a", "order-1"):
        await large.write(name, b"1")
    await large.delete_of("order-1")
    assert [blob.name async for blob in account.blobs.list(CONTAINER)] == ["order-1", "order-10/a"]


async def test_blobs_of_an_id_that_must_be_escaped_are_found(account: Account, large: LargePayloads) -> None:
    await large.write("a^0b/x", b"1")
    await large.delete_of("a/b")
    assert [blob.name async for blob in account.blobs.list(CONTAINER)] == []


async def test_nothing_happens_without_blobs(large: LargePayloads) -> None:
    await large.delete_of("order-1")
