"""The fence's record as an operator's command sees and changes it: who works, and the take-over by one write.

The journal's account has private endpoints. Where it cannot be reached, the message says what to type in a place from
which it can.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from recovery import fence
from recovery import operator_errors as errors
from recovery.fence import Epoch
from recovery.fence_command import FIRST_USE, REPLACE_DAMAGED
from recovery.journal import DEFAULT_HUB
from recovery.records import RecordChanged, Records, RecordsUnreachable, open_place
from recovery.regions import Observation, Region

WITHOUT = "--without-take-over"
TRIES = 3


@dataclass(frozen=True)
class FenceRecord:
    """The record of one deployment; without a journal there is no place for it, and the fence is off."""

    place: str = ""  # as `python -m recovery fence --journal` takes it
    open: Callable[[str], Records] = open_place

    @property
    def is_on(self) -> bool:
        return bool(self.place)

    def holder(self) -> Epoch | None:
        """Who works; None when nobody has taken over yet. RecordsUnreachable."""
        found = fence.read(self._records(), f"{DEFAULT_HUB}/{fence.RECORD}")
        return found[0] if found else None

    def line(self) -> str:
        """Who works, for people; costs a read."""
        if not self.is_on:
            return "fence: off (the deployment has no journal)"
        try:
            epoch = self.holder()
        except fence.RecordDamaged as error:
            return f"fence: damaged ({error}); more: {self._command()}"
        except RecordsUnreachable as error:
            return f"fence: cannot be read from here ({error}); from inside: {self._command()}"
        if epoch is None:
            return "fence: nobody has taken over yet, so every region may work"
        by = f", by {epoch.by}" if epoch.by else ""
        return f"fence: {epoch.region} works since {epoch.since} (epoch {epoch.number}{by})"

    def contradiction(self, seen: Observation) -> str:
        """What is wrong: the record is damaged, or names another region than the account's; empty: nothing."""
        region = seen.account_region
        try:
            epoch = self.holder() if self.is_on and region is not None else None
        except fence.RecordDamaged as error:
            return self._damaged(region, error) if region else ""
        except RecordsUnreachable:
            return ""
        if epoch is None or region is None or fence.is_same_region(epoch.region, region.location):
            return ""
        return (
            f"the fence keeps {region.location} out, where the account is. Make it the region that works with: "
            "python -m recovery settle --yes"
        )

    def plan(self, target: Region) -> list[str]:
        """What a take-over would do, and whether it can be done from here; costs a read."""
        if not self.is_on:
            return []
        try:
            self.holder()
        except RecordsUnreachable as error:
            return [f"PUT the fence's record: {target.location} works. {self._unreachable(target, error)}"]
        return [f"PUT the fence's record: {target.location} works, every other region stops by itself"]

    def ensure_reachable(self, target: Region) -> None:
        """Refused: the record cannot be reached from here; to be asked before anything is changed."""
        try:
            if self.is_on:
                self.holder()
        except RecordsUnreachable as error:
            raise errors.Refused(self._unreachable(target, error)) from error

    def take_over(self, region: Region) -> Epoch:
        """Makes the region the one that works; again, it changes nothing.

        Refused: the journal's account cannot be reached from here; the text says what to type instead.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                return fence.take_over(self._records(), region.location, _address(region), os.environ.get("USER", ""))
            except RecordChanged:
                if not tries_left:
                    raise errors.Refused(
                        "Somebody else takes the fence over at the same time. Look who: python -m recovery status"
                    ) from None
            except RecordsUnreachable as error:
                raise errors.Refused(self._unreachable(region, error)) from error
        raise AssertionError("every try has an end")

    def _unreachable(self, target: Region, error: RecordsUnreachable) -> str:
        if isinstance(error, fence.RecordDamaged):
            return f"The fence: {self._damaged(target, error)}. Then run this command again"
        return (
            f"The record cannot be written from here ({error}). In the network of {target.location}, or of the other "
            f"region: {self._take_over(target)}. "
            f"Then run this command again with {WITHOUT}, which leaves the record alone"
        )

    def _damaged(self, target: Region, error: fence.RecordDamaged) -> str:
        mend = f"{self._take_over(target)} {REPLACE_DAMAGED}"
        return f"nobody can say which region works: {error}. Replace it with: {mend}"

    def _take_over(self, target: Region) -> str:
        # The names are the deployment's own, so nothing about them can be a slip of the hand.
        return f"{self._command()} --take-over {target.location} --address {_address(target)} {FIRST_USE}"

    def _command(self) -> str:
        return f"python -m recovery fence --journal {self.place}"

    def _records(self) -> Records:
        try:
            return self.open(self.place)
        except ImportError as error:  # the operator's machine lacks the library
            raise RecordsUnreachable(f"{error}; pip install -r requirements/operator.txt") from error


def _address(region: Region) -> str:
    return f"https://{region.host_name}"
