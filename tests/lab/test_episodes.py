"""A turn plays as many generations as follow at once, and each gets the events that the extension would carry over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lab.episodes import MANY_GENERATIONS
from tests.lab.workbench import Bench, Play

pytestmark = [
    pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion"),
]


async def one_event(bench: Bench, **order: Any) -> None:
    """A race of an event against a timer of five minutes, that begins anew when the event wins; it gets one event."""
    await bench.start("race", "racing", {"generation": 0, "most": 3, **order})
    await bench.is_waiting("racing")
    await bench.client.raise_event("racing", "news", "1")
    await asyncio.sleep(60)


async def generation(bench: Bench) -> str | None:
    return (await bench.status("racing")).output


def test_an_event_that_beat_a_cancelled_timer_comes_again_in_the_next_generation_as_on_azure(play: Play) -> None:
    """To the shim a cancelled timer ends the race at once, so continue-as-new is asked for before the event is read."""

    async def scenario(bench: Bench) -> None:
        await one_event(bench, pause=False)
        assert await generation(bench) is None  # it ends as soon as the last generation's timer has
        assert await bench.ended("racing") == "Completed"
        assert await generation(bench) == "3"

    play(scenario)


def test_who_waits_for_something_before_beginning_anew_gets_the_event_once(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await one_event(bench, pause=True)
        assert await bench.ended("racing") == "Completed"
        assert await generation(bench) == "1"  # the second generation's timer had nothing to race against

    play(scenario)


def test_an_instance_that_begins_anew_without_ever_waiting_is_told_with_the_event_that_keeps_it_going(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bench: Bench) -> None:
        await one_event(bench, pause=False, most=MANY_GENERATIONS + 1)
        await bench.goes_on()

    play(scenario)
    [told] = [record.getMessage() for record in caplog.records if "begun anew" in record.msg]
    assert f"racing has begun anew {MANY_GENERATIONS} times" in told and "the event news again" in told


def test_fewer_generations_in_one_go_are_not_worth_a_word(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(bench: Bench) -> None:
        await one_event(bench, pause=False, most=MANY_GENERATIONS - 1)

    play(scenario)
    assert not [record for record in caplog.records if "begun anew" in record.msg]
