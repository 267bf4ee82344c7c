"""What a region did is read from its host's output."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

from lab.drills.executions import Execution, by_trigger, read

OUTPUT = """
Functions:

\thealth: [GET] http://localhost:7071/api/health

\ttake_payment: activityTrigger

[2026-01-02T03:04:05.100Z] Executing 'Functions.take_payment' (Reason='(null)', Id=1)
[2026-01-02T03:04:05.200Z] Executed 'Functions.take_payment' (Succeeded, Id=1, Duration=100ms)
[2026-01-02T03:04:06.000Z] Executed 'Functions.take_payment' (Failed, Id=2, Duration=1ms)
[2026-01-02T03:04:07.000Z] Executing 'Functions.take_payment' (Reason='(null)', Id=3)
[2026-01-02T03:04:08.000Z] Executed 'Functions.health' (Succeeded, Id=4, Duration=1ms)
the app prints [2026-01-02T03:04:09.000Z] Executed 'Functions.take_payment' (Succeeded
""".splitlines()


def at(second: int, microsecond: int = 0) -> datetime:
    return datetime(2026, 1, 2, 3, 4, second, microsecond, tzinfo=timezone.utc)


def test_only_what_came_to_its_end_counts() -> None:
    assert list(read(OUTPUT)) == [
        Execution(at(5, 200_000), "take_payment", "activityTrigger"), Execution(at(8), "health", "httpTrigger")
    ]  # fmt: skip


def test_what_ended_before_the_moment_does_not_count() -> None:
    assert by_trigger(read(OUTPUT), at(5, 200_000)) == Counter(activityTrigger=1, httpTrigger=1)
    assert by_trigger(read(OUTPUT), at(6)) == Counter(httpTrigger=1)
