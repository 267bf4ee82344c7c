"""What a client does to a task hub: start, query, raise events, terminate, suspend, resume, rewind, restart, purge."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from taskhub.instances import InstanceStatus

if TYPE_CHECKING:
    from taskhub.hub import TaskHub


@dataclass(frozen=True)
class StatusQuery:
    """Which instances to list: all conditions hold; times are inclusive; an empty field is no condition."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Sequence[str] = ()
    prefix: str = ""


@dataclass(frozen=True)
class EntityRecord:
    """One entity as the list of entities shows it."""

    name: str
    key: str
    last_operation: datetime
    state: str | None  # JSON text


class TaskHubClient:
    """A client of one hub. Inputs, outputs and event data are JSON texts."""

    def __init__(self, hub: TaskHub, overridable: str = "NonRunningStates") -> None:
        """`overridable` is host.json's overridableExistingInstanceStates: NonRunningStates or AnyState."""
        self.hub = hub
        self.overridable = overridable

    async def start(
        self,
        name: str,
        instance_id: str | None,
        input: str | None,
        scheduled_start: datetime | None = None,
        version: str = "",
    ) -> str:
        """Starts an instance and returns its id (32 hex digits when none was given).

        InstanceExists: an unfinished instance has the id (and the hub does not override such).
        """
        raise NotImplementedError

    async def status(self, instance_id: str, show_input: bool = True) -> InstanceStatus | None:
        """The status of an instance, None when the hub has no row for it."""
        raise NotImplementedError

    async def history(
        self, instance_id: str, show_input: bool = True, show_output: bool = False
    ) -> builtins.list[dict[str, Any]]:
        """`historyEvents` of the status document, as the extension shows them; empty for a pending instance."""
        raise NotImplementedError

    async def list(
        self, query: StatusQuery, top: int = 100, token: str | None = None, show_input: bool = True
    ) -> tuple[builtins.list[InstanceStatus], str | None]:
        """One page of instances in the order of their ids, and the token of the next page (None: no more).

        ValueError: the token is not one of ours.
        """
        raise NotImplementedError

    async def raise_event(self, instance_id: str, event_name: str, data: str) -> None:
        """Sends an external event. Says nothing about the instance: check its status first."""
        raise NotImplementedError

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        """Asks for the end of an instance. InstanceNotFound: no row; InvalidOperation: it has ended already."""
        raise NotImplementedError

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        """Asks an instance to pause. InstanceNotFound; InvalidOperation: it is suspended, or has ended."""
        raise NotImplementedError

    async def resume(self, instance_id: str, reason: str | None) -> None:
        """Asks a suspended instance to go on. InstanceNotFound; InvalidOperation: it is not suspended."""
        raise NotImplementedError

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        """Takes a failed instance back to before its failures. InstanceNotFound; InvalidOperation: not Failed."""
        raise NotImplementedError

    async def restart(self, instance_id: str, with_new_id: bool = True) -> str:
        """Starts the same function with the same input again; returns the id.

        InstanceNotFound; InstanceExists: the id is kept and the instance has not ended.
        """
        raise NotImplementedError

    async def purge(self, instance_id: str) -> int:
        """Deletes an instance's row, history and blobs, whatever its state; returns how many instances (0 or 1)."""
        raise NotImplementedError

    async def purge_by(self, query: StatusQuery) -> int:
        """Deletes the instances that the query finds and returns how many.

        As the platform does it: statuses that are not terminal are ignored, and when none is left there is no
        condition on the status at all.
        """
        raise NotImplementedError

    async def signal_entity(self, entity_id: str, operation: str, input: str | None) -> None:
        """Sends a one-way operation to an entity, `@name@key`; `input` is the text of the operation's input."""
        raise NotImplementedError

    async def entity_state(self, entity_id: str) -> str | None:
        """The JSON text of an entity's state (`null` for one that was deleted); None when it never existed."""
        raise NotImplementedError

    async def list_entities(
        self,
        name: str | None,
        operated_from: datetime | None,
        operated_to: datetime | None,
        fetch_state: bool,
        top: int = 100,
        token: str | None = None,
    ) -> tuple[builtins.list[EntityRecord], str | None]:
        """One page of entities in the order of their ids, and the token of the next page."""
        raise NotImplementedError
