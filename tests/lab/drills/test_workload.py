"""The plan of a drill's work: a matter of the seed, a mix of instances, longer than the lag."""

import pytest

from lab.drills.workload import PATIENCE, SHORTEST_WAIT, plan


def test_the_same_seed_gives_the_same_requests_and_another_seed_others() -> None:
    assert plan(50, 5, 1) == plan(50, 5, 1)
    assert plan(50, 5, 1) != plan(50, 5, 2)


def test_each_instance_is_started_once_and_its_event_raised_at_most_once_and_later() -> None:
    workload = plan(200, 5, 3)
    starts = {request.instance_id: request.at for request in workload.requests if request.action == "start"}
    raised = [request for request in workload.requests if request.action == "raise"]
    assert len(starts) == 200 == len(workload.instance_ids)
    assert len({request.instance_id for request in raised}) == len(raised)
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
