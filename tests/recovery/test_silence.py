"""An account that does not answer is asked once in a while, not by every request."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from recovery.journal import Journal, JournalDown
from recovery.records import RecordsUnreachable
from recovery.silence import PAUSE_SECONDS, SLOW_SECONDS, Silence


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self):
        return self.now


class Account:
    """Records of an account that is silent: each request takes seconds, and then fails; `answers`: it works again."""

    description = "stjfar"

    def __init__(self, clock, seconds=15.6):
        self.clock, self.seconds, self.asked, self.answers = clock, seconds, 0, False

    def put(self, name, data, version=None, only_new=False):
        self.asked += 1
        if self.answers:
            return "1"
        self.clock.now += self.seconds
        raise RecordsUnreachable("the journal in stjfar does not answer: timeout")


@pytest.fixture
def clock():
    return Clock()


async def refused(journal, number=1):
    """How many of so many requests, one after the other, are refused."""
    count = 0
    for _ in range(number):
        try:
            await journal.accept_start("order-1", "order", None)
        except JournalDown:
            count += 1
    return count


async def test_after_a_silence_the_next_requests_are_refused_at_once_and_one_asks_after_the_pause(clock):
    account = Account(clock)
    journal = Journal(account, silence=Silence(clock))
    assert await refused(journal, 20) == 20 and account.asked == 1 and clock.now == 115.6
    clock.now += PAUSE_SECONDS
    assert await refused(journal, 20) == 20 and account.asked == 2
    assert journal.status()["refused"] == 40 and journal.status()["silent"] is True


async def test_a_request_that_is_refused_at_once_says_why_and_none_is_accepted_without_its_record(clock):
    journal = Journal(Account(clock), silence=Silence(clock))
    await refused(journal)
    with pytest.raises(JournalDown, match="stjfar did not answer a moment ago. Send it again later"):
        await journal.accept_event("order-1", "change", 1)
    assert journal.status()["written"] == journal.status()["acceptedWithout"] == 0


async def test_where_requests_may_pass_they_pass_at_once_and_are_counted(clock):
    account = Account(clock)
    journal = Journal(account, when_down="accept", silence=Silence(clock))
    for _ in range(24):
        assert await journal.accept_start("order-1", "order", None) is None
    assert (account.asked, clock.now, journal.status()["acceptedWithout"]) == (1, 115.6, 24)


async def test_when_it_answers_again_every_request_is_written(clock):
    account = Account(clock)
    journal = Journal(account, silence=Silence(clock))
    await refused(journal)
    account.answers = True
    assert await refused(journal) == 1
    clock.now += PAUSE_SECONDS
    assert await refused(journal, 3) == 0
    assert (journal.status()["written"], journal.status()["silent"]) == (3, False)


async def test_a_failure_that_comes_at_once_is_not_remembered(clock):
    account = Account(clock, seconds=SLOW_SECONDS / 2)
    assert await refused(Journal(account, silence=Silence(clock)), 5) == 5 and account.asked == 5


async def test_those_that_wait_for_a_thread_meanwhile_do_not_ask_again(clock):
    account = Account(clock)
    journal = Journal(account, when_down="accept", silence=Silence(clock))
    with ThreadPoolExecutor(1) as pool:  # as wide as one request
        asyncio.get_running_loop().set_default_executor(pool)
        await asyncio.gather(*(journal.accept_start(f"order-{n}", "order", None) for n in range(24)))
    assert (account.asked, journal.status()["acceptedWithout"]) == (1, 24)


def test_while_one_finds_out_nobody_else_asks(clock):
    silence = Silence(clock)
    silence.end(clock.now - 5, answered=False)
    clock.now += PAUSE_SECONDS
    began = silence.begin()
    assert began == clock.now and silence.begin() is None and silence.holds()
    silence.end(began, answered=True)
    assert not silence.is_on and silence.begin() is not None and silence.begin() is not None
