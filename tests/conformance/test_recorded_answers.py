"""The host answers what the real Durable extension was recorded to answer, scenario by scenario.

`--conformance=all` plays every scenario on Azurite and in memory too; by default Azurite gets a sample of each topic.
`-k "file and timers"` plays a part. The rules stand in scenarios/, the deliberate deviations in deviations/.
"""

from __future__ import annotations

from tests.conformance.conftest import Play
from tests.conformance.runner import Scenario


def test_the_host_answers_as_recorded(play: Play, account: str, scenario: Scenario) -> None:
    differences = play(account, scenario).differences()
    assert not differences, f"{scenario.id}\n{differences}"
