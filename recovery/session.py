"""What every operator's command needs: the deployment, its environment, the state file, a clock, and a voice."""

from __future__ import annotations

from dataclasses import dataclass
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
from recovery.azd_environment import SUBSCRIPTION, Environment
from recovery.azure_resources import Azure
from recovery.operator_state import OperatorState
from recovery.regions import Verdict, verdict


@dataclass
class Session:
    """One command's surroundings."""

    azure: Azure
    environment: Environment
    state: OperatorState
    say: Progress
    transport: Transport

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
) -> Session:
    """A session on the environment's deployment; without arguments, on Azure itself."""
    transport = transport or RequestsTransport()
    arm = Arm(transport, credential or AzureCredential(), clock or SystemPollingClock(), environment.need(SUBSCRIPTION))
    folder = environment.file.parent if environment.file else Path(".azure")
    return Session(Azure(arm, environment), environment, OperatorState.load(folder / "recovery.json"), say, transport)
