"""When doctor and reconciler went over a hub: two small blobs in its container `{hub}-recovery`.

What an eternal orchestration was told before the loss is compared with the generation that the hub holds. Once a host
has worked on a promoted hub that generation may be a new one, which proves nothing of what was lost; so it has to be
known whether the journal was compared before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from taskhub.errors import NotFound
from taskhub.hub import TaskHub

Which = Literal["repaired", "reconciled"]
ONE_RECOVERY = timedelta(days=7)  # a repair that is older belongs to another one


@dataclass(frozen=True)
class Passes:
    """When the doctor last set to work, and when the journal was first compared to its end after that."""

    repaired: datetime | None = None
    reconciled: datetime | None = None

    @property
    def is_compared(self) -> bool:
        """Whether the journal was compared since the doctor set to work."""
        return self.repaired is None or (self.reconciled is not None and self.reconciled >= self.repaired)

    def last_repair(self, now: datetime) -> datetime | None:
        """When the doctor set to work in the recovery that is under way: the hub was lost before that."""
        if self.is_compared or self.repaired is None or self.repaired < now - ONE_RECOVERY:
            return None
        return self.repaired

    def leave_open(self, accepted: datetime, generation: datetime) -> bool:
        """Whether a generation began after the repair and before any comparison, so that it tells nothing."""
        if self.repaired is None or not accepted < self.repaired < generation:
            return False
        return not self.is_compared or (self.reconciled is not None and self.reconciled > generation)


def container_of(hub: TaskHub) -> str:
    """The container of a hub that holds what recoveries leave on record."""
    return f"{hub.names.hub.lower()}-recovery"


async def passes_of(hub: TaskHub) -> Passes:
    """What is noted; a note that cannot be read counts as none."""
    return Passes(await _moment(hub, "repaired"), await _moment(hub, "reconciled"))


async def note(hub: TaskHub, which: Which) -> None:
    """Notes a pass. Of several of a kind, without one of the other kind between them, the first counts."""
    passes = await passes_of(hub)
    if (which == "repaired") is passes.is_compared:
        await hub.account.blobs.create(container_of(hub))
        text = json.dumps({"time": hub.clock.now().isoformat()})
        await hub.account.blobs.put(container_of(hub), f"{which}.json", text.encode())


async def _moment(hub: TaskHub, which: Which) -> datetime | None:
    try:
        found = json.loads(await hub.account.blobs.get(container_of(hub), f"{which}.json"))
        return datetime.fromisoformat(found["time"])
    except (NotFound, ValueError, KeyError, TypeError):
        return None
