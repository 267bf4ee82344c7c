"""History rows are those of the recordings, in both directions."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from taskhub import history, messages
from taskhub.accounts import Entity
from taskhub.errors import Undecodable
from taskhub.layout import SENTINEL
from tests.taskhub import golden

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def recorded_rows() -> list[Any]:
    params = []
    for name in golden.NAMES:
        rows = golden.rows_of(name, "History")
        rows += [golden.entity_of(row) for row in golden.recorded(name).get("historyBeforeContinueAsNew", [])]
        params += [
            pytest.param(row, id=f"{name[:2]}-{row['RowKey']}-{row['EventType']}")
            for row in rows
            if row["RowKey"] != SENTINEL
        ]
    return params


def restored(row: Entity) -> Entity:
    """A row as the hub hands it over: what was in a blob is in its column again."""
    large = {column.removesuffix("BlobName"): "large" for column in row if column.endswith("BlobName")}
    return {column: value for column, value in row.items() if not column.endswith("BlobName")} | large


def with_types(entity: Entity) -> dict[str, tuple[str, object]]:
    return {column: (type(value).__name__, value) for column, value in entity.items()}


@pytest.mark.parametrize("row", recorded_rows())
def test_a_recorded_row_is_written_again_as_it_was_read(row: Entity) -> None:
    row = restored(row)
    event = history.to_event(row)
    again = history.to_entity(event, str(row["PartitionKey"]), str(row["RowKey"]), str(row["ExecutionId"]))
    assert with_types(again) == with_types(row)


def test_what_a_message_brings_is_written_as_the_extension_wrote_it() -> None:
    log = golden.writes()
    events = [messages.parse_envelope(write["message"]).event for write in log if "message" in write]
    rows = [
        row
        for write in log
        if write.get("table") == "GoldenHubHistory"
        for row in map(golden.entity_of, write["changed"])
    ]
    compared = []
    for row in rows:
        for event in events:
            same = event["EventType"] != messages.TASK_SCHEDULED and _is(row, event)
            if same:
                entity = history.to_entity(
                    event, str(row["PartitionKey"]), str(row["RowKey"]), str(row["ExecutionId"])
                ) | {"IsPlayed": row["IsPlayed"]}
                assert with_types(entity) == with_types(row)
                compared.append(row["EventType"])
    assert compared == ["ExecutionStarted", "TaskCompleted", "EventRaised"]


def _is(row: Entity, event: dict[str, Any]) -> bool:
    kind, moment = messages.EVENT_NAMES[event["EventType"]], messages.parse_timestamp(event["Timestamp"])
    return row.get("EventType") == kind and row.get("_Timestamp") == moment


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        (messages.SUB_CREATED, {"Name": "C", "Version": "", "InstanceId": "c", "Input": None}),
        (messages.SUB_COMPLETED, {"TaskScheduledId": 1, "Result": "1"}),
        (messages.SUB_FAILED, {"TaskScheduledId": 1, "Reason": "r", "Details": None}),
        (messages.TIMER_CREATED, {"FireAt": "2026-01-02T03:04:05.5000000Z"}),
        (messages.TIMER_FIRED, {"TimerId": 2, "FireAt": "2026-01-02T03:04:05.5000000Z"}),
        (messages.EXECUTION_TERMINATED, {"Input": None}),
        (messages.EXECUTION_RESUMED, {"Reason": "go on"}),
        (messages.GENERIC, {"Data": "again"}),
    ],
)
def test_an_event_comes_back_from_its_row(kind: int, properties: dict[str, Any]) -> None:
    event = messages.event(kind, MOMENT, 4, **properties)
    assert history.to_event(history.to_entity(event, "a", "0" * 16, "e")) == event


def test_a_status_is_a_number_in_an_event_and_a_name_in_a_row() -> None:
    event = messages.event(messages.EXECUTION_COMPLETED, MOMENT, OrchestrationStatus=1, Result="1")
    assert history.to_entity(event, "a", "0", "e")["OrchestrationStatus"] == "Completed"


def test_the_start_of_a_child_keeps_its_parent_as_json_without_types() -> None:
    parent = {"InstanceId": "p", "ExecutionId": "x", "Name": "P", "TaskScheduleId": 3}
    event = messages.execution_started(MOMENT, "c", "e", "C", "1", generation=None, parent=parent)
    entity = history.to_entity(event, "c", "1", "e")
    assert entity["ParentInstance"] == (
        '{"Name":"P","OrchestrationInstance":{"InstanceId":"p","ExecutionId":"x"},"TaskScheduleId":3,"Version":""}'
    )
    assert "Generation" not in entity and "Tags" not in entity
    assert history.to_event(entity)["ParentInstance"] == event["ParentInstance"]


def test_the_text_null_of_newer_providers_is_no_object() -> None:
    row: Entity = {"EventType": "TaskFailed", "_Timestamp": MOMENT, "TaskScheduledId": 1, "FailureDetails": "null"}
    assert history.to_event(row)["FailureDetails"] is None


@pytest.mark.parametrize(
    "row", [{"_Timestamp": MOMENT}, {"EventType": "TaskFailed"}, {"EventType": "x", "_Timestamp": 1}]
)
def test_a_row_that_is_no_event_is_undecodable(row: Entity) -> None:
    with pytest.raises(Undecodable):
        history.to_event({"RowKey": "0", **row})


@pytest.mark.parametrize(
    ("instance_id", "entity"), [("@counter@k", True), ("@c@", True), ("counter@k", False), ("@counter", False)]
)
def test_an_id_with_two_at_signs_is_an_entity(instance_id: str, entity: bool) -> None:
    assert history.is_entity_id(instance_id) is entity


def numbered(*numbers: int) -> list[messages.Event]:
    return [{"EventType": messages.TASK_SCHEDULED, "EventId": number} for number in numbers]


def test_the_ids_of_a_history_are_those_of_its_events_whatever_was_written_over() -> None:
    written = history.History("A")
    steps = ((0, (0, 1), {0, 1}), (2, (2,), {0, 1, 2}), (0, (7, 8, 9), {7, 8, 9}), (2, (5,), {7, 8, 5}))
    for start, numbers, ids in steps:
        written.write(numbered(*numbers), start)
        assert written.event_ids == ids == {event["EventId"] for event in written.events}
