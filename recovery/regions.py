"""What state the two regions are in together, and what to type next: a table, and no I/O.

The states are those of an account that fails over between two regions and of two apps of which one may run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

PLANNED_SYNC_LIMIT = timedelta(minutes=30)
READABLE = {"Standard_RAGRS", "Standard_RAGZRS"}
GEO = READABLE | {"Standard_GRS", "Standard_GZRS"}


class App(Enum):
    """What ARM says of an app; UNKNOWN when it does not answer."""

    RUNNING = "Running"
    STOPPED = "Stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Region:
    """One region as deployed. `role` is primary or standby, by design and for ever."""

    role: str
    location: str
    group: str
    site: str
    host_name: str
    principal_id: str


@dataclass(frozen=True)
class Account:
    """What ARM says of the account that holds the task hub."""

    primary_location: str
    secondary_location: str
    sku: str
    status_of_primary: str = "available"
    failover_in_progress: bool = False
    converting: bool = False
    geo_status: str = ""
    last_sync: datetime | None = None
    can_fail_over: bool | None = None
    can_fail_over_planned: bool | None = None

    @property
    def geo_redundant(self) -> bool:
        return self.sku in GEO

    @property
    def protected(self) -> bool:
        """A failover is possible: there is a secondary, and it follows."""
        return self.geo_redundant and not self.converting and self.geo_status == "Live"


@dataclass(frozen=True)
class Observation:
    """Everything that `status` looks at."""

    home: Region
    standby: Region
    account: Account | None
    apps: dict[str, App]
    fenced: frozenset[str] = frozenset()

    def region_at(self, location: str) -> Region:
        return self.home if location == self.home.location else self.standby

    def other(self, region: Region) -> Region:
        return self.standby if region is self.home else self.home

    @property
    def account_region(self) -> Region | None:
        return self.region_at(self.account.primary_location) if self.account else None


@dataclass(frozen=True)
class Verdict:
    """The state's name, whether it may stay so, what it means, and the next command."""

    name: str
    fine: bool
    meaning: str
    next_command: str = ""


MEANINGS = {
    "normal": "The primary region works; the standby is deployed and stopped.",
    "failed over, protected": "The standby region works and the account has a copy in the primary region again.",
    "failed over, unprotected": "The standby region works on an account with no second copy.",
    "re-protecting": "The account is being copied to the other region. This takes hours for a large account.",
    "home, unprotected": "The primary region works on an account that has no copy a failover could use.",
    "failing over": "The account is being failed over. Both endpoints refuse reads and writes meanwhile.",
    "split": "Both apps run on one task hub and take each other's activities.",
    "split, fenced": "Both apps run, but the fenced one has no rights on the hub's data. Stop it.",
    "dark": "No app runs. Nothing is lost, and nothing moves.",
    "crossed": "The app that runs is not in the account's region: it works, through the other region's storage.",
    "unclear": "One app does not answer the management plane, so it may be running.",
    "unreadable": "The account does not answer the management plane.",
}
COMMANDS = {
    "failed over, protected": "python -m recovery failback",
    "failed over, unprotected": "python -m recovery reprotect",
    "re-protecting": "python -m recovery reprotect --yes",
    "home, unprotected": "python -m recovery reprotect",
    "failing over": "python -m recovery status --watch",
    "split": "python -m recovery settle --yes",
    "split, fenced": "python -m recovery settle --yes",
    "dark": "python -m recovery settle --yes",
    "crossed": "python -m recovery settle --yes",
    "unclear": "python -m recovery status --watch",
    "unreadable": "python -m recovery status --watch",
}
FINE = {"normal", "failed over, protected"}


def verdict(seen: Observation) -> Verdict:
    """The one state that this observation is."""
    name = _name(seen)
    command = COMMANDS.get(name, "")
    if name == "unclear" and seen.account_region is seen.home and seen.apps["primary"] is App.UNKNOWN:
        command = "python -m recovery failover --unplanned --fence   (if the region is lost)"
    return Verdict(name, name in FINE, MEANINGS[name], command)


def _name(seen: Observation) -> str:
    account, region = seen.account, seen.account_region
    running = [role for role, app in seen.apps.items() if app is App.RUNNING]
    if len(running) == 2:
        return "split, fenced" if seen.fenced else "split"
    if account is None or region is None:
        return "unreadable"
    if account.failover_in_progress:
        return "failing over"
    if App.UNKNOWN in seen.apps.values() and region.role not in running:
        return "unclear"
    if not running:
        return "dark"
    if running != [region.role]:
        return "crossed"
    return _protection(account, at_home=region is seen.home)


def _protection(account: Account, at_home: bool) -> str:
    if account.converting or (account.geo_redundant and account.geo_status == "Bootstrap"):
        return "re-protecting"
    if not account.protected:
        return "home, unprotected" if at_home else "failed over, unprotected"
    return "normal" if at_home else "failed over, protected"


def loss(account: Account, now: datetime, planned: bool) -> str:
    """What a failover now would lose, in words."""
    if planned:
        return "A planned failover waits for the copy: nothing that was accepted is lost."
    if account.last_sync is None:
        return "The last sync time is not known, so nobody can say how much would be lost."
    behind = max(timedelta(0), now - account.last_sync)
    return (
        f"Everything written after {account.last_sync:%Y-%m-%d %H:%M:%S} UTC may be lost: "
        f"{int(behind.total_seconds())} s of accepted work, and blobs, queues and tables may not agree with each other."
    )


def refusal(seen: Observation, target: Region, planned: bool, unknown_loss_accepted: bool, now: datetime) -> str:
    """Why a failover to this region must not start now; empty when it may. Each reason ends with the next step."""
    account = seen.account
    if account is None:
        return (
            "The account does not answer the management plane, so a failover cannot be started. "
            "Try again every few minutes and open a support request: an account is managed from its home region."
        )
    if account.failover_in_progress:
        return "A failover of the account is already in progress. Watch it with: python -m recovery status --watch"
    if account.primary_location == target.location:
        return f"The account's primary is already {target.location}. See what is left with: python -m recovery status"
    if seen.apps[target.role] is App.RUNNING:
        return (
            f"The app of {target.location} already runs, before the account is there. "
            "Stop it first: python -m recovery settle --yes"
        )
    if not account.geo_redundant or account.converting:
        return (
            f"The account is {account.sku}{' (conversion in progress)' if account.converting else ''}: there is no "
            "copy to fail over to. Make one with: python -m recovery reprotect"
        )
    if planned:
        return _planned_refusal(account, now)
    return _unplanned_refusal(account, unknown_loss_accepted)


def _planned_refusal(account: Account, now: datetime) -> str:
    if account.status_of_primary != "available":
        return (
            "A planned failover needs both regions. "
            "If the primary region is lost: python -m recovery failover --unplanned"
        )
    if account.geo_status != "Live":
        return (
            f"The copy is {account.geo_status or 'unknown'}, not Live. Wait for it: python -m recovery reprotect --yes"
        )
    if account.last_sync is None or now - account.last_sync > PLANNED_SYNC_LIMIT:
        return (
            "The last sync time is unknown or older than 30 minutes, which blocks a planned failover. "
            "Wait and look again: python -m recovery status --watch"
        )
    if account.can_fail_over_planned is False:
        return "Azure says that a planned failover is not possible: something blocks it. See docs/runbook.md"
    return ""


def _unplanned_refusal(account: Account, unknown_loss_accepted: bool) -> str:
    if account.can_fail_over is False:
        return "Azure says that the account cannot fail over now. Look again in a minute: python -m recovery status"
    if account.last_sync is None and not unknown_loss_accepted:
        return (
            "The last sync time is unknown, so the loss is unknown. Read it from inside the standby's network "
            "(docs/runbook.md), or add --accept-unknown-loss"
        )
    return ""
