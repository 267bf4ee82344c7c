"""The plan of a drill's work: a matter of the seed, a mix of instances, longer than the lag."""

from collections import Counter

import pytest

from lab.drills import mix
from lab.drills.workload import PATIENCE, PURE, SHORTEST_WAIT, plan, root_of


def test_the_same_seed_gives_the_same_requests_and_another_seed_others() -> None:
    assert plan(50, 5, 1) == plan(50, 5, 1)
    assert plan(50, 5, 1) != plan(50, 5, 2)


@pytest.mark.parametrize("only_events", [True, False])
def test_each_instance_is_started_once_and_what_its_client_says_later_comes_in_order(only_events: bool) -> None:
    workload = plan(200, 5, 3, only_events)
    starts = {request.instance_id: request.at for request in workload.requests if request.action == "start"}
    raised = [request for request in workload.requests if request.action == "raise"]
    assert len(starts) == 200 == len(workload.instance_ids)
    assert len({(request.instance_id, request.number) for request in raised}) == len(raised)
    assert not only_events or {request.number for request in raised} == {1}
    last: dict[str, int] = {}
    for request in workload.requests:
        assert request.number == last.get(request.instance_id, -1) + 1
        last[request.instance_id] = request.number
    assert all(request.at >= starts[request.instance_id] + SHORTEST_WAIT for request in raised)


def test_at_the_loss_some_have_just_begun_some_wait_and_some_have_just_got_their_event() -> None:
    workload = plan(200, 5, 4)
    late = [request for request in workload.requests if request.at > workload.loss - 2]
    assert {request.action for request in late} == {"start", "raise"}
    assert {request.way for request in workload.requests} == {"starter", "kept URL", "SendExternalEvent"}
    assert all(0 <= request.at < workload.loss for request in workload.requests)


@pytest.mark.parametrize("lag", [0, 1, 5, 60, 900])
def test_the_work_lasts_longer_than_the_lag_and_nobody_waits_long_for_it(lag: float) -> None:
    workload = plan(200, lag, 5)
    assert workload.loss > 2 * lag
    assert workload.loss / workload.pace <= PATIENCE + 0.01


def test_half_of_the_instances_only_wait_and_the_other_workflows_share_the_rest() -> None:
    workload = plan(200, 5, 6)
    counted = Counter(workload.workflow_of(one) for one in workload.instance_ids)
    assert 80 <= counted.pop(PURE) <= 120
    assert set(counted) == set(mix.WORKFLOWS)
    assert max(counted.values()) - min(counted.values()) <= 1


def test_the_ids_of_children_entities_and_watches_tell_whose_they_are() -> None:
    names = ("drill-0042", "drill-0042:part-0001", "@stock@drill-0042", "watch-drill-0042")
    assert {root_of(name) for name in names} == {"drill-0042"}
    assert root_of("probe-west-1") == "probe-west-1"
