"""Hosts as real processes, on which the chosen scenarios are played once, all together."""

from __future__ import annotations

import asyncio
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.drills.region import Region
from tests.conformance import runner
from tests.conformance.runner import HOST_JSON, Outcome, Scenario
from tests.taskhub.accounts.conftest import azurite  # noqa: F401

APP = Path(__file__).resolve().parent / "app"
READY_SECONDS = 60.0
SAMPLE = 8  # one scenario in so many stands for its topic where not all are played
JOBS_ON_AZURITE = 24  # it answers a fraction of what the embedded account does

Play = Callable[[str, Scenario], Outcome]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every scenario on the embedded account, a sample of each topic on Azurite; everything on all if so asked."""
    if "scenario" not in metafunc.fixturenames:
        return
    scenarios = runner.expected()
    everything = metafunc.config.getoption("--conformance") == "all"
    chosen = {"file": scenarios, "azurite": scenarios if everything else _sample(scenarios)}
    if everything:
        chosen["memory"] = scenarios
    cases = [(account, scenario) for account, some in chosen.items() for scenario in some]
    metafunc.parametrize("account, scenario", cases, ids=[f"{account}: {one.id}" for account, one in cases])


def _sample(scenarios: list[Scenario]) -> list[Scenario]:
    seen: dict[str, int] = {}
    found = []
    for scenario in scenarios:
        number = seen[scenario.topic] = seen.get(scenario.topic, -1) + 1
        if number % SAMPLE == 0:
            found.append(scenario)
    return found


@pytest.fixture(scope="session")
def play(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """What became of a scenario on an account; the first one asked for has all that are to be tested there played."""
    outcomes: dict[tuple[str, str], dict[str, Outcome]] = {}

    def outcome(account: str, scenario: Scenario) -> Outcome:
        place = account, scenario.host_json
        if place not in outcomes:
            storage = _storage(account, request)
            wanted = [one for one in _selected(request, account) if one.host_json == scenario.host_json]
            folder = tmp_path_factory.mktemp("conformance")
            outcomes[place] = _played(folder, storage or str(folder / "account.db"), wanted, account)
        return outcomes[place][scenario.id]

    return outcome


def _storage(account: str, request: pytest.FixtureRequest) -> str | None:
    if account == "azurite":
        return str(request.getfixturevalue("azurite"))
    return ":memory:" if account == "memory" else None


def _selected(request: pytest.FixtureRequest, account: str) -> list[Scenario]:
    """The scenarios of this test run on an account."""
    called: list[dict[str, Any]] = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    return [params["scenario"] for params in called if "scenario" in params and params["account"] == account]


def _played(folder: Path, storage: str, scenarios: list[Scenario], account: str) -> dict[str, Outcome]:
    jobs = JOBS_ON_AZURITE if account == "azurite" else runner.JOBS
    with running_host(folder, storage, scenarios[0].host_json) as base:
        return {one.scenario.id: one for one in asyncio.run(runner.play_all(base, scenarios, jobs))}


@contextmanager
def running_host(folder: Path, storage: str, host_json: str = HOST_JSON) -> Iterator[str]:
    """The app on an account, as its users start it; yields the address."""
    app = folder / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(APP / host_json, app / "host.json")
    host = Region("conformance", "conformance", storage, folder, app)
    host.start()
    try:
        base = f"http://127.0.0.1:{host.port}"
        _wait_for(f"{base}{runner.HOOK}/instances?top=1", host)
        yield base
    finally:
        host.kill()


def _wait_for(url: str, host: Region) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            host.check()
            assert time.monotonic() < deadline, host.log.read_text()[-3000:]
            time.sleep(0.1)
