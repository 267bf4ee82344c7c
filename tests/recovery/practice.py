"""A small Azure to practise on, and the session of an operator who works on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from recovery import failback, failover, reprotect, settle
from recovery.arm import Response
from recovery.arm_fake import VALUES, FakeAzure, FakeClock, FakeCredential, World
from recovery.azd_environment import Environment
from recovery.failover import Request
from recovery.operator_state import OperatorState
from recovery.session import Session, connect

UNPLANNED = Request("failover", "standby", planned=False)
PLANNED = Request("failover", "standby", planned=True)


@dataclass
class Practice:
    """One fake deployment; `session()` is what a newly started command sees."""

    folder: Path
    azure: FakeAzure = field(default_factory=lambda: FakeAzure(FakeClock()))
    said: list[str] = field(default_factory=list)
    credential: FakeCredential = field(default_factory=FakeCredential)

    def __post_init__(self) -> None:
        # Long enough to be asked about a few times, short enough to try every request.
        self.azure.failover_seconds = {True: 70, False: 50}
        self.azure.conversion_seconds = (90, 150)
        self.file = self.folder / ".env"
        self.file.write_text("".join(f'{name}="{value}"\n' for name, value in VALUES.items()))

    @property
    def world(self) -> World:
        return self.azure.world

    def session(self) -> Session:
        environment = Environment.load(self.folder.name, self.folder.parent)
        return connect(environment, self.said.append, self.azure, self.credential, self.azure.clock, self.azure.records)

    def state(self) -> OperatorState:
        return self.session().state

    def values(self) -> dict[str, str]:
        return self.session().environment.values

    def text(self) -> str:
        return "\n".join(self.said)

    def verdict(self) -> str:
        return self.session().verdict().name

    def changing_calls(self) -> list[str]:
        """What was changed, as `POST …/stop`, in order."""
        return [call for call in self.azure.calls if not call.startswith("GET")]

    def fault_at(self, part: str, fault: str) -> None:
        """Orders a fault for every request whose address has this part."""
        send = self.azure.send

        def send_with_the_fault(method: str, url: str, body: object, headers: dict[str, str]) -> Response:
            if part in url:
                self.azure.faults[len(self.azure.calls)] = fault
            return send(method, url, body, headers)

        self.azure.send = send_with_the_fault  # type: ignore[method-assign]

    def unharmed(self) -> None:
        """From now on nothing fails."""
        self.azure.faults = {}
        del self.azure.send  # type: ignore[misc]

    # Commands, each agreed to as an operator would: look, then --yes

    def fail_over(self, request: Request) -> int:
        failover.run(request, self.session())
        agreed = Request(**{**request.__dict__, "yes": True})
        return failover.run(agreed, self.session())

    def fail_back(self, planned: bool = True) -> int:
        failback.fail_back(self.session(), planned)
        return failback.fail_back(self.session(), planned, yes=True)

    def reprotect(self) -> int:
        return reprotect.run(self.session(), yes=True)

    def settle(self) -> int:
        return settle.run(self.session(), yes=True)
