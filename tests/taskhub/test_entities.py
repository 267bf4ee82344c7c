"""What a client says to an entity, and what an entity's row says."""

from __future__ import annotations

import json

import pytest

from taskhub.clock import ManualClock
from taskhub.entities import record, signal, state_of
from taskhub.errors import Undecodable
from taskhub.instances import InstanceStatus

NOW = ManualClock().now()


def row(
    instance_id: str, input: str | None = None, custom_status: str | None = '{"entityExists":true}'
) -> InstanceStatus:
    return InstanceStatus(instance_id, "e", instance_id, "", "Running", input, None, custom_status, NOW, NOW)


@pytest.mark.parametrize("input", ["7", '"\\"text\\""', '"zoë"', ""])
def test_a_signal_carries_the_text_of_its_input(input: str) -> None:
    request = json.loads(signal("add", input))
    assert (request["op"], request["signal"], request["input"]) == ("add", True, input)


def test_a_signal_without_input_has_none() -> None:
    assert list(json.loads(signal("reset", None))) == ["op", "signal", "id", "Timestamp", "Predecessor"]


def test_every_signal_has_an_id_of_its_own() -> None:
    assert json.loads(signal("a", None))["id"] != json.loads(signal("a", None))["id"]


@pytest.mark.parametrize(
    ("scheduler", "state"),
    [
        (None, None),
        ('{"exists":true,"state":"1","sorter":{}}', "1"),
        ('{"exists":true,"state":"null","sorter":{}}', "null"),
        ('{"state":"\\"text\\""}', '"text"'),
        ("{}", None),
        ('{"state":{"a":1}}', '{"a": 1}'),
    ],
)
def test_the_state_is_a_text_in_the_schedulers_state(scheduler: str | None, state: str | None) -> None:
    assert state_of(scheduler) == state


@pytest.mark.parametrize("scheduler", ["", "nonsense", "[1]", "5", "null"])
def test_what_is_no_state_is_said_to_be_none(scheduler: str) -> None:
    with pytest.raises(Undecodable):
        state_of(scheduler)


@pytest.mark.parametrize(("key", "instance_id"), [("k", "@c@k"), ("", "@c@"), ("a@b", "@c@a@b")])
def test_a_key_is_everything_behind_the_second_at_sign(key: str, instance_id: str) -> None:
    found = record(row(instance_id), fetch_state=False)
    assert found is not None and (found.name, found.key) == ("c", key)


@pytest.mark.parametrize("instance_id", ["c@k", "@c", "@"])
def test_other_ids_are_no_entities(instance_id: str) -> None:
    assert record(row(instance_id), fetch_state=False) is None


@pytest.mark.parametrize("custom_status", [None, "", "null", "{}", "nonsense", "[1]", '{"entityExists":false}'])
def test_without_its_state_an_entity_counts_by_its_custom_status(custom_status: str | None) -> None:
    assert record(row("@c@k", custom_status=custom_status), fetch_state=False) is None


def test_an_entity_whose_state_cannot_be_read_is_listed_without_it() -> None:
    found = record(row("@c@k", "https://gone.example/blob"), fetch_state=True)
    assert found is not None and found.state is None
