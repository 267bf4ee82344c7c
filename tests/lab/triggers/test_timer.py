"""Timers: on their schedule, once for all hosts, and what was missed is made up for once."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lab.triggers.context import HOSTS_CONTAINER, TriggerContext, TriggerInvalid
from lab.triggers.timer import TimerListener
from lab.virtual_time import START
from tests.lab.triggers.world import FAILED, World, function, listen, play

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STATUS = "timers/lab/Host.Functions.work/status"


def timer(context: TriggerContext, schedule: str = "0 0 * * * *", **settings: Any) -> TimerListener:
    return TimerListener(function("timerTrigger", schedule=schedule, **settings), context)


def moments(world: World) -> list[timedelta]:
    """When the function ran, counted from the beginning, in whole seconds."""
    return [timedelta(seconds=round((call.moment - START).total_seconds())) for call in world.notes.calls]


def past_due(world: World) -> list[bool]:
    return [json.loads(call.data["value"])["IsPastDue"] for call in world.notes.calls]


def test_a_timer_fires_at_its_times_and_not_before() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context)], HOUR * 2.5)
        assert moments(world) == [HOUR, HOUR * 2]
        assert past_due(world) == [False, False]

    play(main)


def test_two_hosts_run_a_timer_once() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context), timer(world.host())], HOUR * 3.5)
        assert moments(world) == [HOUR, HOUR * 2, HOUR * 3]

    play(main)


def test_a_frequent_timer_runs_once_on_two_hosts_though_nothing_is_recorded() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context, "*/10 * * * * *"), timer(world.host(), "*/10 * * * * *")], MINUTE)
        assert len(world.notes.calls) in (5, 6)
        assert await world.account.blobs.properties(HOSTS_CONTAINER, STATUS) is None

    play(main)


def test_the_other_host_takes_over_when_the_first_dies() -> None:
    async def main(world: World) -> None:
        first, second = timer(world.context), timer(world.host())
        dying = asyncio.create_task(first.run())
        await asyncio.sleep(HOUR.total_seconds() * 1.5)
        first._lock._blobs = _Dead()  # its line is cut: nothing is released
        dying.cancel()
        await listen([second], HOUR)
        assert moments(world) == [HOUR, HOUR * 2]

    play(main)


def test_a_host_that_hears_nothing_from_the_account_leaves_the_timer_to_the_other() -> None:
    async def main(world: World) -> None:
        deaf, other = timer(world.context), timer(world.host())
        listening = asyncio.create_task(listen([deaf, other], HOUR * 1.5))
        await asyncio.sleep(HOUR.total_seconds() / 2)
        deaf._lock._blobs = _Dead()
        await asyncio.sleep(HOUR.total_seconds() * 0.9)
        deaf._lock._blobs = world.account.blobs
        await listening
        assert moments(world) == [HOUR]

    play(main)


class _Dead:
    """A blob service that does not answer any more."""

    def __getattr__(self, name: str) -> Any:
        async def never(*arguments: Any, **options: Any) -> None:
            await asyncio.Event().wait()

        return never


def test_what_was_missed_while_no_host_ran_is_run_once_and_said_to_be_past_due() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context)], HOUR * 1.5)
        await asyncio.sleep(HOUR.total_seconds() * 5)
        await listen([timer(world.host())], HOUR)
        assert moments(world) == [HOUR, HOUR * 6.5, HOUR * 7]
        assert past_due(world) == [False, True, False]

    play(main)


def test_a_timer_that_never_ran_is_past_due_after_its_first_time_too() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context)], HOUR / 2)
        await asyncio.sleep(HOUR.total_seconds())
        await listen([timer(world.host())], MINUTE)
        assert past_due(world) == [True]

    play(main)


def test_a_changed_schedule_makes_nothing_past_due() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context)], HOUR * 1.5)
        await asyncio.sleep(HOUR.total_seconds() * 5)
        await listen([timer(world.host(), "0 45 * * * *")], HOUR)
        assert moments(world) == [HOUR, HOUR * 6.75]
        assert past_due(world) == [False, False]

    play(main)


def test_without_monitor_nothing_is_recorded_and_nothing_is_past_due() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context, useMonitor=False)], HOUR * 1.5)
        await asyncio.sleep(HOUR.total_seconds() * 5)
        await listen([timer(world.host(), useMonitor=False)], MINUTE)
        assert moments(world) == [HOUR]
        assert json.loads(world.notes.calls[0].data["value"])["ScheduleStatus"] is None

    play(main)


def test_run_on_startup_runs_at_once_and_then_on_schedule() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context, runOnStartup=True)], HOUR * 1.5)
        assert moments(world) == [timedelta(0), HOUR]

    play(main)


def test_the_status_blob_is_the_extensions() -> None:
    async def main(world: World) -> None:
        await listen([timer(world.context)], HOUR * 1.5)
        assert json.loads(await world.account.blobs.get(HOSTS_CONTAINER, STATUS)) == {
            "Last": "2026-01-05T10:00:00+00:00",
            "Next": "2026-01-05T11:00:00+00:00",
            "LastUpdated": "2026-01-05T10:00:00+00:00",
        }

    play(main)


def test_a_status_that_the_real_host_wrote_is_understood() -> None:
    async def main(world: World) -> None:
        times = '"Next":"2026-01-05T08:00:00Z","LastUpdated":"2026-01-05T07:59:12.1234567Z"'
        text = f'{{"Last":"0001-01-01T00:00:00",{times}}}'
        await world.account.blobs.create(HOSTS_CONTAINER)
        await world.account.blobs.put(HOSTS_CONTAINER, STATUS, text.encode())
        await listen([timer(world.context)], MINUTE)
        assert past_due(world) == [True]

    play(main)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"Last": 1}'])
def test_a_status_that_cannot_be_read_counts_from_now(text: bytes) -> None:
    async def main(world: World) -> None:
        await world.account.blobs.create(HOSTS_CONTAINER)
        await world.account.blobs.put(HOSTS_CONTAINER, STATUS, text)
        await listen([timer(world.context)], HOUR * 1.5)
        assert moments(world) == [HOUR]

    play(main)


def test_a_failing_function_does_not_stop_the_schedule_and_is_not_run_again() -> None:
    async def main(world: World) -> None:
        async def fail(_: object) -> None:
            raise FAILED

        world.notes.act = fail
        await listen([timer(world.context)], HOUR * 2.5)
        assert moments(world) == [HOUR, HOUR * 2]

    play(main)


def test_a_run_longer_than_the_interval_is_not_overlapped() -> None:
    async def main(world: World) -> None:
        async def work(_: object) -> None:
            await asyncio.sleep(HOUR.total_seconds() * 1.5)

        world.notes.act = work
        await listen([timer(world.context)], HOUR * 4.2)
        assert moments(world) == [HOUR, HOUR * 2.5, HOUR * 4]

    play(main)


def test_a_host_that_stops_lets_the_run_end_and_the_next_host_does_not_repeat_it() -> None:
    async def main(world: World) -> None:
        ended: list[datetime] = []

        async def work(_: object) -> None:
            await asyncio.sleep(2)
            ended.append(world.clock.now())

        world.notes.act = work
        await asyncio.gather(listen([timer(world.context)], HOUR + timedelta(seconds=1)),
                             listen([timer(world.host())], HOUR * 1.5))  # fmt: skip
        assert moments(world) == [HOUR]
        assert len(ended) == 1

    play(main)


def test_times_are_those_of_the_time_zone_that_is_set() -> None:
    async def main(world: World) -> None:
        context = world.host(environment={"WEBSITE_TIME_ZONE": "Europe/Berlin", "WHEN": "0 0 12 * * *"})
        await listen([timer(context, "%WHEN%")], HOUR * 3)
        assert [call.moment for call in world.notes.calls] == [datetime(2026, 1, 5, 11, tzinfo=timezone.utc)]

    play(main)


@pytest.mark.parametrize(
    ("schedule", "environment", "reason"),
    [
        ("daily", {}, "not recognized"),
        ("0 0 2 * * *", {"WEBSITE_TIME_ZONE": "Mars/Olympus"}, "no time zone"),
    ],
)
def test_a_timer_that_cannot_be_read_says_why(schedule: str, environment: dict[str, str], reason: str) -> None:
    async def main(world: World) -> None:
        with pytest.raises(TriggerInvalid, match=reason):
            timer(world.host(environment=environment), schedule)

    play(main)
