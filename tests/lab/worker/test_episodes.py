"""A kept orchestrator and a full replay say the same, whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.worker import EpisodeResult, InvocationFailed, SessionLost
from lab.worker.inside import episodes
from lab.worker.inside.episodes import PROTOCOL, Episodes
from lab.worker.local import LocalWorker
from tests.lab.worker.driver import Play, leaves

CORPUS = Path(__file__).parents[2] / "function_apps" / "corpus"
ORCHESTRATORS = [
    "chain", "fan_out", "first_of_many", "with_retries", "event_or_timer", "long_timer", "raises_after",
    "raises_with_marker", "catches", "eternal", "plain", "unserialisable", "talks_to_entities",
    "reads_late", "never_ends", "shared_tasks", "yields_nonsense",
]  # fmt: skip

# What the SDK itself warns about: values decoded without a type, completions nobody waits for any more.
pytestmark = [
    pytest.mark.filterwarnings("ignore:azure.functions"),
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion"),
]


@pytest.fixture
async def worker() -> AsyncIterator[LocalWorker]:
    worker = LocalWorker(CORPUS)
    yield worker
    await worker.close()


@pytest.fixture
async def replayer(worker: LocalWorker) -> AsyncIterator[LocalWorker]:
    """A worker of its own for full replays: in one worker they would take the place of the kept orchestrator."""
    replayer = LocalWorker(CORPUS)
    yield replayer
    await replayer.close()


async def outcome(worker: LocalWorker, play: Play, start_index: int = 0, keep: bool = False) -> EpisodeResult | str:
    try:
        return await worker.episode(play.call(start_index, keep))
    except InvocationFailed as error:
        return error.text


async def play_both_ways(worker: LocalWorker, replayer: LocalWorker, play: Play) -> int:
    """Plays an orchestrator kept alive and replayed in turn; the number of episodes."""
    known, noted = 0, 0
    actions: list[dict[str, object]] = []
    cancelled: set[int] = set()
    for episode in range(1, 40):
        kept = await outcome(worker, play, known, keep=True)
        full = await outcome(replayer, play)
        seen_kept, seen_full = take_notes(worker), take_notes(replayer)
        assert seen_full[noted:] == seen_kept
        noted = len(seen_full)
        if isinstance(kept, str) or isinstance(full, str):
            assert kept == full
            return episode
        known = len(play.history)
        actions = actions[: kept.actions_before] + kept.actions
        for position in kept.cancelled_timers:
            cancelled.add(position)
        assert [mark(leaf, at in cancelled) for at, leaf in enumerate(leaves(actions))] == list(leaves(full.actions))
        same = {"actions": [], "actions_before": 0, "cancelled_timers": [], "stack": ""}
        assert replace(kept, **same) == replace(full, **same)
        play.schedule(full)
        if not play.arrive():
            return episode
    return episode


def take_notes(worker: LocalWorker) -> list[bool]:
    """What the app's code saw of `is_replaying` since the last time."""
    notes = worker._app._invocations.functions["chain"].call.orchestrator_function.__globals__["NOTES"]
    taken = list(notes)
    notes.clear()
    return taken


def mark(leaf: dict[str, object], is_cancelled: bool) -> dict[str, object]:
    return {**leaf, "isCanceled": True} if is_cancelled else leaf


@pytest.mark.parametrize("function", ORCHESTRATORS)
async def test_a_kept_orchestrator_answers_as_a_full_replay_does(
    worker: LocalWorker, replayer: LocalWorker, function: str
) -> None:
    episodes = [await play_both_ways(worker, replayer, Play(function, seed)) for seed in range(6)]
    assert max(episodes) > (1 if function not in ("plain", "yields_nonsense") else 0)


async def test_later_answers_hold_only_what_is_new(worker: LocalWorker) -> None:
    play = Play("chain", 1)
    first = await worker.episode(play.call(keep=True))
    play.schedule(first)
    play.arrive()
    second = await worker.episode(play.call(start_index=2, keep=True))
    assert (first.actions_before, second.actions_before) == (0, 1)
    assert [action["input"] for action in first.actions + second.actions] == ['"Tokyo"', '"Seattle"']


async def test_an_orchestrator_not_held_at_that_place_asks_for_the_whole_history(worker: LocalWorker) -> None:
    play = Play("chain", 1)
    await worker.episode(play.call(keep=True))
    with pytest.raises(SessionLost):
        await worker.episode(play.call(start_index=1, keep=True))
    with pytest.raises(SessionLost):  # and is dropped, since nobody knows any more where it stands
        await worker.episode(play.call(start_index=2, keep=True))


async def test_another_execution_of_the_instance_is_another_orchestrator(worker: LocalWorker) -> None:
    play = Play("chain", 1)
    await worker.episode(play.call(keep=True))
    with pytest.raises(SessionLost):
        await worker.episode(replace(play.call(start_index=2, keep=True), execution_id="other"))


async def test_a_forgotten_orchestrator_is_gone(worker: LocalWorker) -> None:
    play = Play("chain", 1)
    await worker.episode(play.call(keep=True))
    worker.forget("i")
    with pytest.raises(SessionLost):
        await worker.episode(play.call(start_index=2, keep=True))


async def test_without_keep_nothing_is_held(worker: LocalWorker) -> None:
    play = Play("chain", 1)
    await worker.episode(play.call())
    with pytest.raises(SessionLost):
        await worker.episode(play.call(start_index=2))


def test_the_oldest_orchestrators_make_room(functions: Episodes) -> None:
    for number in range(4):
        call = {**Play("chain", 1).call(keep=True).__dict__, "instance_id": f"i{number}"}
        functions.play(call)
    assert list(functions._sessions) == ["i2", "i3"]


@pytest.fixture
def functions(worker: LocalWorker) -> Iterator[Episodes]:
    yield Episodes(worker._app._invocations.functions, max_sessions=2)


async def test_an_error_carries_its_text_and_the_apps_own_traceback(worker: LocalWorker) -> None:
    play = Play("raises_after", 1)
    play.schedule(await worker.episode(play.call()))
    play.arrive()
    result = await worker.episode(play.call())
    assert result.error == "after hello 0"
    assert "function_app.py" in result.stack and "executor" not in result.stack.lower().split("function_app.py")[-1]


async def test_a_text_with_the_marker_in_it_spoils_the_state_as_on_azure(worker: LocalWorker) -> None:
    play = Play("raises_with_marker", 1)
    play.schedule(await worker.episode(play.call()))
    play.arrive()
    result = await worker.episode(play.call())
    assert (result.is_done, result.actions, result.error) == (True, [], None)


async def test_what_is_no_generator_and_raises_fails_outside_of_the_protocol(worker: LocalWorker) -> None:
    with pytest.raises(InvocationFailed, match="^RuntimeError: not even a generator$"):
        await worker.episode(Play("raises_plainly", 1).call())


async def test_an_output_is_written_as_the_extension_writes_it(worker: LocalWorker) -> None:
    result = await worker.episode(Play("gives", 1, input='{"$type":"x","a":[1.5,"Zürich","\\ud800",NaN]}').call())
    assert result.output == '{"a":[1.5,"Z\\u00fcrich","\\ud800","NaN"]}'


def test_the_protocol_is_that_of_the_extension() -> None:
    assert PROTOCOL == {
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
        "longRunningTimerIntervalDuration": "3.00:00:00",
        "maximumShortTimerDuration": "6.00:00:00",
        "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
    }


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05.1234567Z", "2026-12-31T23:59:59.9999999Z", "0001-01-01T00:00:00.0000000Z",
        "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z", "2026-01-02T03:04:05.1234567+02:00", "2026-01-02",
    ],
)  # fmt: skip
def test_times_are_read_as_the_sdk_reads_them(text: str) -> None:
    from dateutil.parser import parse

    found, expected = episodes._reader_of_times(parse)(text), parse(text)
    assert (found, found.tzinfo, found.utcoffset()) == (expected, expected.tzinfo, expected.utcoffset())


@pytest.mark.parametrize("text", ["2026-13-02T03:04:05.1234567Z", "2026-01-02T25:04:05.1234567Z", "soon", None])
def test_what_is_no_time_is_refused_as_the_sdk_refuses_it(text: str | None) -> None:
    from dateutil.parser import parse

    with pytest.raises((ValueError, TypeError)) as expected:
        parse(text)
    with pytest.raises(type(expected.value)):
        episodes._reader_of_times(parse)(text)
