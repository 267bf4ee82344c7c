"""A geo-replicated storage account: two embedded accounts, the delay between them, and what a failover loses.

Stands in for an account with read-access geo-redundant storage (RA-GRS). Azure copies asynchronously and promises no
order among writes, save, in an old announcement of the service, within one partition. So the account is a set of
units, each replicated in its own order and independently of all others:

    each queue  ·  each (table, PartitionKey)  ·  each blob

Sources: "Azure Storage redundancy", "Check the Last Sync Time property for a storage account", "Use geo-redundancy to
design highly available applications" and "Initiate a storage account failover" in Microsoft's documentation. Leases
are not copied: whether Azure copies them is not documented, and one of a minute cannot outlive a failover anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from lab import in_hand
from lab.lag import Lag
from taskhub.accounts import replication
from taskhub.accounts.embedded import EmbeddedAccount, open_embedded
from taskhub.accounts.replication import LoggedWrite, Service
from taskhub.clock import Clock
from taskhub.errors import InvalidOperation

SERVICES: tuple[Service, ...] = get_args(Service)
Redundancy = Literal["geo-redundant", "locally redundant"]
TimeOf = Callable[[list[LoggedWrite]], list[datetime]]
READ_AT_ONCE = 5_000  # writes


@dataclass(frozen=True)
class OnItsWay:
    """A write that the primary acknowledged, and when it is, or would have been, on the secondary."""

    write: LoggedWrite
    made: datetime
    arrives: datetime


class GeoPair:
    """The account in two regions. Whoever has the primary's file open writes to it; nothing else is needed.

    Nothing here reads a clock: the caller says what time it is. `time_of` says when writes were made, by default as
    the primary noted it; a caller with a timeline of its own gives its own moments, in the order of the writes.
    """

    def __init__(
        self, primary: EmbeddedAccount, secondary: EmbeddedAccount, lag: Lag, time_of: TimeOf | None = None
    ) -> None:
        self.primary = primary
        self.secondary: EmbeddedAccount | None = secondary
        self._lag = lag
        self._time_of = time_of or _as_noted
        self._keeps_order = time_of is None
        self._on_the_way: list[OnItsWay] = []
        self._newest: dict[str, datetime] = {}  # arrival of each unit's last write
        self._seen = 0
        self._lost: list[OnItsWay] = []

    @property
    def redundancy(self) -> Redundancy:
        """Locally redundant after an unplanned failover, until somebody restores it."""
        return "geo-redundant" if self.secondary else "locally redundant"

    def replicate_until(self, now: datetime) -> int:
        """Brings everything to the secondary that has arrived by then; returns how many writes that were.

        InvalidOperation: there is no secondary.
        """
        secondary = self._secondary()
        self._look()
        arrived = [one for one in self._on_the_way if one.arrives <= now]
        self._on_the_way = [one for one in self._on_the_way if one.arrives > now]
        copied = replication.apply(secondary, [one.write for one in arrived])
        if copied < len(arrived):
            raise InvalidOperation("Writes arrived out of their unit's order: the times given for them run backwards.")
        return copied

    def last_sync_time(self, service: Service, now: datetime) -> datetime:
        """All writes of the service before this moment are on the secondary; later ones may or may not be.

        In whole seconds, as Azure shows it, and never later than now. InvalidOperation: there is no secondary.
        """
        self._secondary()
        self._look()
        late = [one.made for one in self._on_the_way if one.write.service == service and one.arrives > now]
        return min([now, *late]).replace(microsecond=0)

    def fail_over(self, planned: bool, now: datetime) -> None:
        """Makes the secondary the primary.

        Planned: everything is copied first, and the regions change places. Unplanned: what has not arrived by now is
        lost (`lost_writes`), the old primary answers no more, and the account is locally redundant.
        InvalidOperation: there is no secondary.
        """
        secondary = self._secondary()
        if planned:
            replication.set_state(self.primary, replication.READ_ONLY)
            self._copy_everything(secondary)
        else:
            replication.set_state(self.primary, replication.UNAVAILABLE)
            self.replicate_until(now)
            self._lost = self._on_the_way
        old, self.primary, self.secondary = self.primary, secondary, None
        replication.set_state(self.primary, replication.PRIMARY)
        if planned:
            self._replicate_to(old)

    def let_visibility_end(self) -> None:
        """Makes messages visible that some host had in hand, as time does.

        A failover of minutes to an hour outlasts every visibility timeout of a lost host; who does not wait that long
        calls this. Messages that nobody has taken yet, timers above all, keep their time.
        """
        in_hand.let_it_end(self.primary)

    def lost_writes(self) -> list[OnItsWay]:
        """What the lost primary had acknowledged and the new one does not have, in the order it was written."""
        return list(self._lost)

    def restore_geo_redundancy(self, path: str | Path) -> None:
        """Makes a new secondary in that file, as setting the account's redundancy to RA-GRS again does.

        InvalidOperation: there is a secondary. AccountNotUsable: the file exists.
        """
        if self.secondary:
            raise InvalidOperation("The account is geo-redundant already.")
        # Noting writes before copying: one that is in both is passed over, one in neither would be missing for ever.
        replication.set_replicated(self.primary, True)
        known = replication.last_sequence(self.primary)
        replication.copy_account(self.primary, path)
        self._replicate_to(open_embedded(path, self.primary.engine.clock), known)

    def _replicate_to(self, secondary: EmbeddedAccount, known: int = 0) -> None:
        replication.set_replicated(self.primary, True)
        self.secondary = secondary
        self._on_the_way, self._newest, self._seen = [], {}, known

    def _secondary(self) -> EmbeddedAccount:
        if self.secondary is None:
            raise InvalidOperation("The account is locally redundant: there is no secondary. Restore it first.")
        return self.secondary

    def _copy_everything(self, secondary: EmbeddedAccount) -> None:
        self._look()
        replication.apply(secondary, [one.write for one in self._on_the_way])
        self._on_the_way = []

    def _look(self) -> None:
        """Notes what the primary has written since the last time, and when it arrives."""
        new = list(self._new_writes())
        for write, made in zip(new, self._time_of(new), strict=True):
            unit = f"{write.service}/{write.unit}"
            arrives = self._lag.arrival(unit, made)
            if self._keeps_order:
                # A clock that was set back must not let a write overtake an earlier one.
                arrives = self._newest[unit] = max(arrives, self._newest.get(unit, arrives))
            self._on_the_way.append(OnItsWay(write, made, arrives))

    def _new_writes(self) -> Iterator[LoggedWrite]:
        while found := replication.log_since(self.primary, self._seen, READ_AT_ONCE):
            self._seen = found[-1].sequence
            yield from found


def create_pair(
    primary: str | Path,
    secondary: str | Path,
    name: str,
    lag: Lag,
    clock: Clock | None = None,
    time_of: TimeOf | None = None,
) -> GeoPair:
    """A new account in two regions: two files (or `:memory:`) under one account name.

    InvalidOperation: one of the files holds something already.
    """
    for path in (primary, secondary):
        if Path(path).exists():
            raise InvalidOperation(f"{path} exists already; a pair begins with two new files.")
    home = open_embedded(primary, clock, name, replicated=True)
    away = open_embedded(secondary, clock, name, state=replication.READ_ONLY)
    return GeoPair(home, away, lag, time_of)


def recovery_point(lost: list[OnItsWay], loss: datetime) -> timedelta:
    """How far back the oldest lost write lies."""
    return max((loss - one.made for one in lost), default=timedelta(0))


def _as_noted(writes: list[LoggedWrite]) -> list[datetime]:
    return [write.time for write in writes]
