"""What the journeys share: hosts as real processes on one account, and the moments at which they are killed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.hosts import Ledger, Place


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Printed with a failure, so that it can be repeated."""
    given = request.config.getoption("--kill-seed")
    chosen = random.randrange(1_000_000) if given is None else int(given)
    kills = request.config.getoption("--kills")
    print(f"again with: python scripts/test tests/journeys/test_kill.py --kills {kills} --kill-seed {chosen}")
    return chosen


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder with an account for hosts of the ledger app; all of them are killed in the end."""
    place = Place(tmp_path, Ledger(tmp_path / "ledger"))
    yield place
    for host in place.hosts:
        host.kill()
