"""A region that comes back while another one works does nothing, and everything ends rightly all the same."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lab.drills import split_brain
from lab.drills.split_brain_command import problems
from lab.progress import Screen


async def test_a_region_that_comes_back_behind_the_fence_leaves_everything_alone() -> None:
    (found,) = await split_brain.drill(6, 3, Screen(Console(file=io.StringIO())), (split_brain.WITH,))
    assert problems([found]) == [] and found.did_nothing
    assert found.orders_right == found.orders == 6
    assert found.stood_still_after == 0.0 and found.restarts == 0


async def test_without_the_fence_it_works_and_with_a_late_one_it_stops(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--heavy"):
        pytest.skip("a minute: --heavy")
    kinds = (split_brain.WITHOUT, split_brain.LATE)
    without, late = await split_brain.drill(15, 1, Screen(Console(file=io.StringIO())), kinds)
    assert not without.did_nothing and without.starts_accepted and without.timers
    assert problems([late]) == [] and late.restarts >= 1
    assert late.stood_still_after is not None and late.stood_still_after <= split_brain.STANDSTILL_SECONDS
