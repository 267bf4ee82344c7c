"""The Durable section of host.json: names in any letters, the platform's units, bounds and defaults, hub names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import HubNameNotAllowed, SettingsError
from lab.host_json import (
    CORES,
    DurableSettings,
    check_hub_name,
    default_hub_name,
    parse_timespan,
    read_durable,
    resolve,
)


def read(section: dict[str, Any], environment: dict[str, str] | None = None) -> DurableSettings:
    return read_durable(section, environment or {}, [])


def notes_of(section: dict[str, Any]) -> list[str]:
    notes: list[str] = []
    read_durable(section, {}, notes)
    return notes


def test_every_setting_has_a_typed_field() -> None:
    found = read({
        "hubName": "Mine", "maxConcurrentActivityFunctions": 3, "maxConcurrentOrchestratorFunctions": 4,
        "useAppLease": False, "appLeaseOptions": {"leaseInterval": "00:00:20", "renewInterval": "00:00:05"},
        "overridableExistingInstanceStates": "anystate", "storeInputsInOrchestrationHistory": True,
        "extendedSessionsEnabled": True,
        "storageProvider": {
            "connectionName": "Elsewhere", "partitionCount": 16, "controlQueueBatchSize": 8,
            "controlQueueVisibilityTimeout": "00:01:00", "workItemQueueVisibilityTimeout": "00:02:00",
            "maxQueuePollingInterval": "00:00:00.2000000", "trackingStoreNamePrefix": "Track",
        },
    })  # fmt: skip
    assert (found.hub, found.connection, found.partition_count) == ("Mine", "Elsewhere", 16)
    assert (found.max_concurrent_activities, found.max_concurrent_orchestrators) == (3, 4)
    assert (found.control_queue_visibility, found.work_item_queue_visibility) == (
        timedelta(minutes=1), timedelta(minutes=2),
    )  # fmt: skip
    assert found.max_queue_polling_interval == timedelta(milliseconds=200)
    assert (found.use_app_lease, found.app_lease.lease_interval) == (False, timedelta(seconds=20))
    assert (found.app_lease.renew_interval, found.app_lease.acquire_interval) == (
        timedelta(seconds=5), timedelta(seconds=300),
    )  # fmt: skip
    assert (found.overridable_states, found.store_inputs_in_history, found.extended_sessions) == (
        "AnyState", True, True,
    )  # fmt: skip
    assert (found.control_queue_batch_size, found.tracking_store_prefix) == (8, "Track")


def test_the_defaults_are_the_platforms_but_for_the_visibility() -> None:
    found = read({})
    assert (found.partition_count, found.use_app_lease, found.overridable_states) == (4, True, "NonRunningStates")
    assert found.max_concurrent_activities == found.max_concurrent_orchestrators == 10 * CORES
    assert found.max_queue_polling_interval == timedelta(seconds=30)
    assert found.control_queue_visibility == found.work_item_queue_visibility == timedelta(seconds=10)
    assert (found.store_inputs_in_history, found.extended_sessions, found.connection) == (False, False, "Storage")


def test_names_are_found_in_any_letters() -> None:
    assert read({"HUBNAME": "Mine", "STORAGEPROVIDER": {"PartitionCOUNT": 2}}).partition_count == 2


def test_unknown_settings_are_reported_and_ignored() -> None:
    section = {"hubNam": "x", "storageProvider": {"partitions": 2}, "appLeaseOptions": {"lease": 1}}
    assert notes_of(section) == [
        "host.json: durableTask has no setting hubNam; it is ignored. Check the spelling.",
        "host.json: durableTask.appLeaseOptions has no setting lease; it is ignored. Check the spelling.",
        "host.json: durableTask.storageProvider has no setting partitions; it is ignored. Check the spelling.",
    ]


def test_known_settings_without_a_meaning_here_pass_in_silence() -> None:
    assert notes_of({"tracing": {}, "storageProvider": {"useTablePartitionManagement": True}}) == []


@pytest.mark.parametrize("kind", ["mssql", "azureManaged", "netherite"])
def test_another_storage_provider_runs_on_the_local_account_and_says_so(kind: str) -> None:
    notes = notes_of({"storageProvider": {"type": kind, "connectionStringName": "X", "partitionCount": 99}})
    assert notes == [f"host.json: storage provider {kind} is not run here; the local account stands in for it."]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"storageProvider": {"partitionCount": 17}}, "durableTask.storageProvider.partitionCount is 17; a"),
        ({"storageProvider": {"partitionCount": 0}}, "from 1 to 16"),
        ({"storageProvider": {"partitionCount": True}}, "a whole number"),
        ({"maxConcurrentActivityFunctions": "many"}, "of 1 or more"),
        ({"useAppLease": "yes"}, "true or false"),
        ({"hubName": 5}, "durableTask.hubName is 5; a text"),
        ({"overridableExistingInstanceStates": "All"}, "NonRunningStates or AnyState"),
        ({"storageProvider": {"maxQueuePollingInterval": "2s"}}, "a time span such as 00:05:00"),
        ({"storageProvider": {"maxQueuePollingInterval": "00:00:00"}}, "above zero"),
        ({"storageProvider": {"controlQueueVisibilityTimeout": "00:99:00"}}, "time span"),
    ],
)
def test_a_wrong_value_is_told_with_its_name(section: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(section)
    assert message in str(caught.value)


def test_app_settings_in_percent_signs_are_put_in() -> None:
    assert read({"hubName": "%HUB%X"}, {"HUB": "Mine"}).hub == "MineX"


def test_an_app_setting_that_is_missing_is_told() -> None:
    with pytest.raises(SettingsError, match="refers to the app setting NOT_SET_ANYWHERE, which is not set"):
        resolve("%NOT_SET_ANYWHERE%", {})


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ab", "too short"), ("a" * 46, "46 characters"), ("1ab", "does not begin with a letter"),
        ("my-hub", "contains '-'"), ("Zürich", "contains 'ü'"), ("a b c", "contains ' '"),
    ],
)  # fmt: skip
def test_a_hub_name_that_storage_cannot_carry_is_refused(name: str, fault: str) -> None:
    with pytest.raises(HubNameNotAllowed, match=fault):
        check_hub_name(name)


@pytest.mark.parametrize(
    ("site", "hub"),
    [
        (None, "TestHubName"), ("my-site-7", "mysite7"), ("7up", "t7up"), ("---", "DefaultTaskHub"), ("a", "aHub"),
        ("x" * 60, "x" * 45),
    ],
)  # fmt: skip
def test_the_default_hub_name_is_the_sites_made_fit(site: str | None, hub: str) -> None:
    assert default_hub_name(site) == hub


@given(st.text())
def test_every_default_hub_name_is_allowed(site: str) -> None:
    check_hub_name(default_hub_name(site))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:05:00", timedelta(minutes=5)), ("1.02:03:04.5", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("00:00:00.2000000", timedelta(milliseconds=200)), ("-00:00:01", timedelta(seconds=-1)),
        ("10:30", timedelta(hours=10, minutes=30)), ("3", timedelta(days=3)),
    ],
)  # fmt: skip
def test_time_spans_are_dotnets(text: str, span: timedelta) -> None:
    assert parse_timespan(text) == span


@pytest.mark.parametrize("text", ["", "5m", "24:00:00", "00:60:00", "00:00:60", "1:2:3:4:5", "00:05:00.12345678"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time span"):
        parse_timespan(text)
