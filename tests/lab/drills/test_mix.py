"""The drill's clients know every workflow, and what they send is what the app accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest

import workflows
from lab.drills import mix
from lab.drills.outside import PEOPLE
from lab.drills.workload import PREFIX, PURE, root_of

ERRANDS = [mix.errand(number, f"{PREFIX}{number:04d}") for number in range(4 * len(mix.WORKFLOWS))]


def test_every_workflow_of_the_catalogue_takes_part() -> None:
    assert {PURE, *mix.WORKFLOWS} == {one.name for one in workflows.CATALOGUE}


def test_a_client_has_the_same_errand_each_time() -> None:
    assert mix.errand(7, "drill-0007") == mix.errand(7, "drill-0007")


@pytest.mark.parametrize("errand", ERRANDS, ids=lambda one: f"{one.workflow}-{one.instance_id}")
def test_what_starts_an_instance_is_accepted_by_its_workflow(
    errand: mix.Errand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIRECTORY", json.dumps(PEOPLE))
    workflow = workflows.find(errand.workflow)
    assert workflow is not None and errand.start.kind == "start"
    data: Any = None if errand.start.body is None else json.loads(errand.start.body)
    if errand.workflow == "device_watch":  # its endpoint adds the device
        data["device"] = root_of(errand.instance_id)
    workflow.checker()(data)


@pytest.mark.parametrize("errand", ERRANDS, ids=lambda one: f"{one.workflow}-{one.instance_id}")
def test_an_instance_its_product_and_its_device_bear_the_clients_name(errand: mix.Errand) -> None:
    client = root_of(errand.instance_id)
    assert client.startswith(PREFIX)
    for call in (errand.start, *errand.more, *errand.last):
        assert client in call.path + str(call.body)


def test_what_goes_on_for_ever_is_ended_after_the_failover_alone() -> None:
    ended = {errand.workflow for errand in ERRANDS if errand.last}
    assert ended == {"monitor", "device_watch", "eternal"}
    assert all(errand.after_the_failover[-1:] == errand.last[-1:] for errand in ERRANDS if errand.last)


def test_an_event_that_is_sent_again_says_so_and_is_otherwise_the_same() -> None:
    for errand in ERRANDS:
        for first, again in zip(errand.more, errand.after_the_failover, strict=False):
            assert first.kind == again.kind and first.path == again.path
            assert first.kind == "signal" or mix.FIRST in str(first.body)
            assert mix.FIRST not in str(again.body)


def test_the_source_of_every_etl_holds_as_many_good_and_bad_rows_as_its_right_result_says() -> None:
    rows = mix.ROWS.splitlines()[1:]
    assert len(rows) == mix.GOOD + mix.BAD
    assert sum("@" not in row for row in rows) == mix.BAD
