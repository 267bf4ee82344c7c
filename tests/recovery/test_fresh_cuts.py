"""Verdicts on hubs that the geo pair cut, in shapes without a recording, agree with what a host then does."""

from __future__ import annotations

import pytest

from lab.simulation.run import Ground
from tests.recovery import fresh_cuts

pytestmark = [
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def seen():
    ground = Ground()
    return [one for seed in range(40) for one in fresh_cuts.cut(seed, ground)]


def test_every_verdict_on_a_fresh_cut_agrees_with_what_the_host_does_then(seen):
    assert [one for one in seen if not one.agrees] == []


def test_the_fresh_cuts_hold_instances_that_move_wait_and_are_stuck(seen):
    assert {one.kind for one in seen} >= {"completed", "waiting", "stuck", "lost", "goes-on"}


def test_the_fresh_cuts_hold_entities_children_and_random_programs(seen):
    assert any(one.instance_id.startswith("@") for one in seen)
    assert any(one.is_child and one.kind == "stuck" for one in seen)
    assert any(one.instance_id.startswith("program-") and one.kind == "stuck" for one in seen)
