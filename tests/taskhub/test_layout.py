"""Names, keys and queues are those of DurableTask.AzureStorage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskhub.errors import HubNameInvalid
from taskhub.layout import HubNames, app_lease_id, check_hub_name, escape_key, fnv1a, row_key, unescape_key


@pytest.mark.parametrize(
    ("instance_id", "hashed", "of_4", "of_16", "of_3"),
    [
        ("order-1", 729795949, 1, 13, 1),
        ("order-2", 679463092, 0, 4, 1),
        ("order-10", 3610265959, 3, 7, 1),
        ("ORDER-1", 533037645, 1, 13, 0),
        ("f71ac761454f41468d9923ac39e9bdbc", 1637414773, 1, 5, 1),
        ("8f30203236d34f8ea5eeff5428eb5ee7:20", 964276616, 0, 8, 2),
        ("@counter@mykey", 3429522944, 0, 0, 2),
        ("@counter@MyKey", 3886306880, 0, 0, 2),
        ("bestellung-ü-42", 4103160511, 3, 15, 1),
        ("订单-7", 3083584, 0, 0, 1),
        ("2026-01-02T03:04:05Z", 2459519238, 2, 6, 0),
    ],
)
def test_an_instance_id_belongs_to_one_control_queue(
    instance_id: str, hashed: int, of_4: int, of_16: int, of_3: int
) -> None:
    assert fnv1a(instance_id) == hashed
    for partitions, index in ((4, of_4), (16, of_16), (3, of_3)):
        assert HubNames("ShopHub", partitions).control_queue(instance_id) == f"shophub-control-{index:02d}"


def test_the_hash_is_fnv_1a_of_32_bits() -> None:
    assert [fnv1a(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


def test_a_lone_surrogate_in_an_id_has_a_queue_too() -> None:
    assert HubNames("ShopHub").control_queue("a\ud800") in HubNames("ShopHub").control_queues


def test_tables_keep_the_letter_case_of_the_hub_and_everything_else_is_small() -> None:
    names = HubNames("ShopHub", 2)
    assert (names.history, names.instances) == ("ShopHubHistory", "ShopHubInstances")
    assert names.control_queues == ["shophub-control-00", "shophub-control-01"]
    assert names.workitems == "shophub-workitems"
    assert (names.leases, names.large_messages) == ("shophub-leases", "shophub-largemessages")
    assert (names.app_lease, names.app_lease_info) == ("shophub-applease", "shophub-appleaseinfo")


@pytest.mark.parametrize(
    ("instance_id", "key"),
    [
        ("order-1", "order-1"),
        ("a^b", "a^^b"),
        ("a/b\\c#d?e", "a^0b^1c^2d^3e"),
        ("a\x00b\x1f", "a^\xc0b^\xdf"),
        ("a\x7f\x80\x9f", "a^\u013f^\u0140^\u015f"),
    ],
)
def test_characters_that_a_key_cannot_hold_are_escaped(instance_id: str, key: str) -> None:
    assert escape_key(instance_id) == key
    assert unescape_key(key) == instance_id


@given(st.text(max_size=30))
def test_every_id_comes_back_from_its_key(instance_id: str) -> None:
    key = escape_key(instance_id)
    assert unescape_key(key) == instance_id
    assert not any(character in "/\\#?" or ord(character) < 32 or 127 <= ord(character) < 160 for character in key)


def test_rows_are_numbered_in_sixteen_hex_digits_and_the_sentinel_sorts_last() -> None:
    assert [row_key(0), row_key(10), row_key(300)] == ["0000000000000000", "000000000000000A", "000000000000012C"]
    assert row_key(2**60) < "sentinel"


@pytest.mark.parametrize(
    ("app", "lease"), [("", "811c9dc5"), ("myapp-westeurope", "88dd669c"), ("myapp-northeurope", "ad714792")]
)
def test_all_workers_of_an_app_share_one_lease_id(app: str, lease: str) -> None:
    assert app_lease_id(app) == f"{lease}-0000-0000-0000-000000000000"


@pytest.mark.parametrize("name", ["abc", "TestHubName", "a" * 45])
def test_a_hub_may_be_called(name: str) -> None:
    assert check_hub_name(name) == name


@pytest.mark.parametrize("name", ["", "ab", "1abc", "my-hub", "hub name", "a" * 46, "hüb", "abc\n"])
def test_a_hub_may_not_be_called(name: str) -> None:
    with pytest.raises(HubNameInvalid, match="hubName in host.json"):
        check_hub_name(name)
