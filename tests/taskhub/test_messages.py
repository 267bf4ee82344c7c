"""Queue messages are the envelopes that the real extension writes and reads."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from taskhub import messages
from taskhub.errors import Undecodable
from taskhub.messages import TaskMessage
from tests.taskhub import golden

NOW = datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=timezone.utc)
RECORDED = [
    *((name, message) for name in golden.NAMES for message in golden.messages_of(name)),
    *((f"write {write['n']}", write["message"]) for write in golden.writes() if "message" in write),
]
KINDS = {
    "ExecutionStartedEvent", "TaskScheduledEvent", "TaskCompletedEvent", "TimerFiredEvent", "EventRaisedEvent",
    "GenericEvent",
}  # fmt: skip


def test_the_recordings_hold_many_kinds_of_messages() -> None:
    kinds = {message["TaskMessage"]["Event"]["$type"].split(".")[-1] for _, message in RECORDED}
    assert kinds >= KINDS


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in RECORDED])
def test_a_recorded_message_is_written_again_as_it_was_read(data: dict[str, Any]) -> None:
    again = messages.envelope(messages.parse_envelope(data))
    again["SequenceNumber"] = data["SequenceNumber"]
    # As text: the order of properties counts too, `$type` must stand first.
    assert json.dumps(again, indent=1) == json.dumps(data, indent=1)


@pytest.mark.parametrize("name", golden.NAMES)
def test_a_recorded_queue_text_is_base64_of_json(name: str) -> None:
    for queue in golden.recorded(name)["queues"].values():
        for message in queue["messages"]:
            assert messages.from_text(message["messageText"]) == message["decoded"]
            payload = messages.to_json(message["decoded"])
            assert messages.to_text(payload, "base64") == message["messageText"]


def raised(data: str) -> dict[str, Any]:
    event = messages.event(messages.EVENT_RAISED, NOW, Name="Go", Input=data, ParentTraceContext=None)
    return messages.envelope(TaskMessage(event, "order-1", None))


@pytest.mark.parametrize("encoding", ["base64", "text"])
@pytest.mark.parametrize("data", ["1", '"zoë 😀"', '"\\u0000"', "\x01\x0b\ufffe", '"\ud800"'])
def test_a_message_is_read_in_both_encodings(encoding: messages.Encoding, data: str) -> None:
    text = messages.to_text(messages.to_json(raised(data)), encoding)
    assert messages.parse_envelope(messages.from_text(text)).event["Input"] == data
    assert text.isascii()


@pytest.mark.parametrize(
    "text", ["", "not base64!", base64.b64encode(b"[1]").decode(), base64.b64encode(b"\xff").decode(), "{", "{}x"]
)
def test_a_text_that_is_no_message_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Undecodable):
        messages.from_text(text)


@pytest.mark.parametrize("part", ["TaskMessage", "Event", "OrchestrationInstance", "InstanceId", "Timestamp"])
def test_a_message_without_a_part_is_undecodable(part: str) -> None:
    data = raised("1")
    inner = data["TaskMessage"]
    for holder in (data, inner, inner["OrchestrationInstance"], inner["Event"]):
        holder.pop(part, None)
    with pytest.raises(Undecodable):
        messages.parse_envelope(data)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("Event", None),
        ("Event", []),
        ("OrchestrationInstance", "x"),
        ("Event", {"$type": "x"}),
        ("OrchestrationInstance", {"InstanceId": 5}),
    ],
)
def test_a_part_of_the_wrong_kind_is_undecodable(part: str, value: object) -> None:
    data = raised("1")
    data["TaskMessage"][part] = value
    with pytest.raises(Undecodable):
        messages.parse_envelope(data)


def test_the_type_tells_the_event_when_its_number_is_missing() -> None:
    data = raised("1")
    del data["TaskMessage"]["Event"]["EventType"]
    assert messages.parse_envelope(data).kind == messages.EVENT_RAISED


def test_an_event_type_that_is_not_first_is_undecodable_as_in_the_engine() -> None:
    data = raised("1")
    event = data["TaskMessage"]["Event"]
    event["$type"] = event.pop("$type")
    with pytest.raises(Undecodable, match="does not begin with"):
        messages.parse_envelope(data)


def test_optional_parts_may_be_missing() -> None:
    data = raised("1")
    for name in ("ActivityId", "SequenceNumber", "Sender", "SerializableTraceContext", "CompressedBlobName"):
        del data[name]
    for name in ("EventId", "IsPlayed", "ParentTraceContext"):
        del data["TaskMessage"]["Event"][name]
    message = messages.parse_envelope(data)
    assert (message.event["EventId"], message.event["IsPlayed"], message.sender_instance) == (-1, False, "")


def test_unknown_parts_are_kept_out_of_the_way() -> None:
    data = raised("1") | {"Future": 1}
    data["TaskMessage"]["Event"]["Tags"] = {"$type": "x", "a": "b"}
    assert messages.parse_envelope(data).event["Tags"] == {"a": "b"}


def test_every_process_numbers_its_messages() -> None:
    assert raised("1")["SequenceNumber"] < raised("1")["SequenceNumber"]


@pytest.mark.parametrize(
    ("kind", "properties", "name"),
    [
        (messages.TASK_COMPLETED, {"TaskScheduledId": 3, "Result": "1"}, "TaskCompleted#3"),
        (messages.TIMER_FIRED, {"TimerId": 0, "FireAt": ""}, "TimerFired#0"),
        (messages.EVENT_RAISED, {"Name": "Go", "Input": "1"}, "EventRaised"),
    ],
)
def test_a_message_is_named_as_in_the_log_of_the_extension(kind: int, properties: dict[str, Any], name: str) -> None:
    assert TaskMessage(messages.event(kind, NOW, **properties), "a", None).describe() == name


def test_a_scheduled_task_is_named_with_its_id() -> None:
    event = messages.event(messages.TASK_SCHEDULED, NOW, 7, Name="work")
    assert TaskMessage(event, "a", "e").describe() == "TaskScheduled#7"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05.1234567Z", NOW),
        ("2026-01-02T03:04:05.123456", NOW),
        ("2026-01-02T05:04:05.123456+02:00", NOW),
        ("2026-01-02T05:04:05.1234567+02:00", NOW),
        ("2026-01-02T03:04:05.5", NOW.replace(microsecond=500000)),
        ("2026-01-02T03:04:05Z", NOW.replace(microsecond=0)),
        ("2026-01-02T03:04:05.5Z", NOW.replace(microsecond=500000)),
        ("2026-01-02T03:04:05.0000001Z", NOW.replace(microsecond=0)),
        ("0001-01-01T00:00:00", datetime(1, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_times_are_read_in_every_form_that_occurs(text: str, moment: datetime) -> None:
    assert messages.parse_timestamp(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05.xZ", "1.2.3Z"])
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Undecodable):
        messages.parse_timestamp(text)


def test_times_are_written_with_seven_digits() -> None:
    assert messages.timestamp(NOW) == "2026-01-02T03:04:05.1234560Z"


@pytest.mark.parametrize(
    ("kind", "properties", "suffix"),
    [
        (messages.EXECUTION_TERMINATED, {"Input": "why"}, "ExecutionTerminatedEvent"),
        (messages.EXECUTION_SUSPENDED, {"Reason": "why"}, "ExecutionSuspendedEvent"),
        (messages.EXECUTION_RESUMED, {"Reason": "why"}, "ExecutionResumedEvent"),
        (messages.SUB_COMPLETED, {"TaskScheduledId": 3, "Result": "1"}, "SubOrchestrationInstanceCompletedEvent"),
        (messages.TIMER_FIRED, {"TimerId": 2, "FireAt": "2026-01-02T04:00:00Z"}, "TimerFiredEvent"),
    ],
)
def test_an_event_is_written_in_the_order_of_the_declared_classes(
    kind: int, properties: dict[str, Any], suffix: str
) -> None:
    data = messages.envelope(TaskMessage(messages.event(kind, NOW, **properties), "order-1", None))
    assert list(data["TaskMessage"]["Event"].items()) == [
        ("$type", f"DurableTask.Core.History.{suffix}"),
        ("EventType", kind),
        *properties.items(),
        ("EventId", -1),
        ("IsPlayed", False),
        ("Timestamp", "2026-01-02T03:04:05.1234560Z"),
    ]


def test_the_wrapper_of_a_large_message_names_its_blob() -> None:
    wrapper = messages.wrapper("order-1/message-x-EventRaised.json.gz")
    assert next(iter(wrapper)) == "$type"
    assert (wrapper["TaskMessage"], wrapper["Sender"]) == (None, None)
    assert wrapper["CompressedBlobName"] == "order-1/message-x-EventRaised.json.gz"


def test_the_start_of_a_child_names_its_parent() -> None:
    parent = {"InstanceId": "p", "ExecutionId": "e", "Name": "Parent", "TaskScheduleId": 3}
    event = messages.execution_started(NOW, "c", "f", "Child", "1", generation=None, parent=parent)
    data = messages.envelope(TaskMessage(event, "c", "f", "p", "e", episode=2, with_context=True))
    typed = data["TaskMessage"]["Event"]["ParentInstance"]
    assert list(typed) == ["$type", "Name", "OrchestrationInstance", "TaskScheduleId", "Version"]
    assert typed["OrchestrationInstance"]["$type"] == "DurableTask.Core.OrchestrationInstance"
    assert messages.parse_envelope(data).event == event
    assert (data["Episode"], data["Sender"]) == (2, {"InstanceId": "p", "ExecutionId": "e"})
