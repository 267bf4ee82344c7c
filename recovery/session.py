"""What every operator's command needs: the deployment, its environment, the state file, a clock, and a voice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from recovery.arm import (
    Arm,
    AzureCredential,
    Credential,
    PollingClock,
    Progress,
    RequestsTransport,
    SystemPollingClock,
    Transport,
)
from recovery.azd_environment import JOURNAL_ACCOUNT, SUBSCRIPTION, Environment
from recovery.azure_resources import Azure
from recovery.fence_record import FenceRecord
from recovery.operator_state import OperatorState
from recovery.records import Records, open_place
from recovery.regions import Verdict, verdict


@dataclass
class Session:
    """One command's surroundings."""

    azure: Azure
    environment: Environment
    state: OperatorState
    say: Progress
    transport: Transport
    fence: FenceRecord = field(default_factory=FenceRecord)

    @property
    def clock(self) -> PollingClock:
        return self.azure.arm.clock

    def verdict(self) -> Verdict:
        """The state that the deployment is in now."""
        return verdict(self.azure.observe())


def connect(
    environment: Environment,
    say: Progress,
    transport: Transport | None = None,
    credential: Credential | None = None,
    clock: PollingClock | None = None,
    open_records: Callable[[str], Records] = open_place,
) -> Session:
    """A session on the environment's deployment; without arguments, on Azure itself."""
    transport = transport or RequestsTransport()
    arm = Arm(transport, credential or AzureCredential(), clock or SystemPollingClock(), environment.need(SUBSCRIPTION))
    folder = environment.file.parent if environment.file else Path(".azure")
    journal = environment.values.get(JOURNAL_ACCOUNT, "")
    fence = FenceRecord(f"identity:{journal}" if journal else "", open_records)
    state = OperatorState.load(folder / "recovery.json")
    return Session(Azure(arm, environment), environment, state, say, transport, fence)
