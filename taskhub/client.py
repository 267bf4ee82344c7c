"""What a client does to a task hub: start, query, raise events, terminate, suspend, resume, rewind, restart, purge."""

from __future__ import annotations

import asyncio
import builtins
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from taskhub import entities, messages, status_history
from taskhub.accounts import NO_DELAY, Entity, Query, Row, Write
from taskhub.entities import EntityRecord
from taskhub.errors import (
    Conflict,
    InstanceExists,
    InstanceNotFound,
    InvalidOperation,
    NotFound,
    PreconditionFailed,
    Undecodable,
)
from taskhub.instances import RUNNING_STATES, InstanceStatus
from taskhub.layout import escape_key, unescape_key
from taskhub.messages import Event, TaskMessage
from taskhub.query import StatusQuery, page
from taskhub.rewind import rewind_history

if TYPE_CHECKING:
    from taskhub.hub import TaskHub

__all__ = ["EntityRecord", "StatusQuery", "TaskHubClient"]

_SUSPENDABLE = RUNNING_STATES - {"Suspended"}
_PURGES_AT_ONCE = 16


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

        The start message is sent first and the Instances row written after it. When two clients start the same id at
        the same time both succeed, and one of their executions runs.
        InstanceExists: an unfinished instance has the id (and the hub does not override such).
        """
        instance_id = instance_id or uuid.uuid4().hex
        existing = await self.hub.read_row(instance_id)
        self._check_startable(existing)
        event = messages.execution_started(
            self.hub.clock.now(), instance_id, uuid.uuid4().hex, name, input, version, _generation_after(existing),
            scheduled_start=scheduled_start,
        )  # fmt: skip
        execution_id = event["OrchestrationInstance"]["ExecutionId"]
        delay = self._until(scheduled_start)
        posted, is_new = await self.hub.post(TaskMessage(event, instance_id, execution_id), delay), False
        try:
            is_new = await self._write_pending(await self._pending_row(event, posted.blob), existing)
        finally:
            posted.pass_on(is_new)
        return instance_id

    def _check_startable(self, existing: Row | None) -> None:
        if existing is None or self.overridable == "AnyState":
            return
        status = existing.entity.get("RuntimeStatus")
        if status in RUNNING_STATES:
            raise InstanceExists(f"An Orchestration instance with the status {status} already exists.")

    def _until(self, moment: datetime | None) -> timedelta:
        """The delay until a moment in whole seconds, rounded down as the platform sends it."""
        if moment is None:
            return NO_DELAY
        return max(NO_DELAY, timedelta(seconds=int((moment - self.hub.clock.now()).total_seconds())))

    async def _pending_row(self, event: Event, blob: str | None) -> Entity:
        """The Instances row of an instance that is about to start, as AzureTableTrackingStore.SetNewExecutionAsync."""
        instance = event["OrchestrationInstance"]
        columns = {
            "PartitionKey": escape_key(instance["InstanceId"]),
            "RowKey": "",
            "Input": self.hub.large.url(blob) if blob else await self.hub.input_column(event),
            "CreatedTime": messages.parse_timestamp(event["Timestamp"]),
            "Name": event["Name"],
            "Version": event["Version"],
            "RuntimeStatus": "Pending",
            "LastUpdatedTime": self.hub.clock.now(),
            "TaskHubName": self.hub.names.hub,
            "ScheduledStartTime": (start := event["ScheduledStartTime"]) and messages.parse_timestamp(start),
            "ExecutionId": instance["ExecutionId"],
            "Generation": event["Generation"],
            "Tags": "null",
        }
        return {name: value for name, value in columns.items() if value is not None}

    async def _write_pending(self, entity: Entity, existing: Row | None) -> bool:
        """Inserts the row or replaces the old one; a row that another client wrote meanwhile stays.

        Returns whether there was none before.

        The platform gives up on every change of the row. Here a change by the old execution itself (its last
        checkpoint) is no reason to lose the start.
        """
        table, tables = self.hub.names.instances, self.hub.account.tables
        while True:
            try:
                if existing is None:
                    await tables.write(table, Write("insert", entity))
                    return True
                await tables.write(table, Write("update", entity, etag=existing.etag))
                return False
            except Conflict:
                return False
            except (NotFound, PreconditionFailed):
                if existing is None:  # there is no table
                    raise
                before, existing = existing, await tables.get(table, str(entity["PartitionKey"]), "")
                if existing and _execution(existing) != _execution(before):
                    return False

    async def status(self, instance_id: str, show_input: bool = True) -> InstanceStatus | None:
        """The status of an instance, None when the hub has no row for it.

        NotFound: the blob of a large input or output is missing.
        """
        row = await self.hub.read_row(instance_id)
        return None if row is None else await self.hub.status_of(row, show_input)

    async def history(
        self, instance_id: str, show_input: bool = True, show_output: bool = False
    ) -> builtins.list[dict[str, Any]]:
        """`historyEvents` of the status document, as the extension shows them; empty for a pending instance."""
        row = await self.hub.read_row(instance_id)
        if row is None or row.entity.get("RuntimeStatus") == "Pending":
            return []
        history = await self.hub.read_history(instance_id)
        return status_history.history_events(history.events, show_input, show_output)

    async def list(
        self, query: StatusQuery, top: int = 100, token: str | None = None, show_input: bool = True
    ) -> tuple[builtins.list[InstanceStatus], str | None]:
        """One page of instances in the order of their ids, and the token of the next page (None: no more).

        A large input or output whose blob is missing or damaged shows as its address: one instance hides no others.
        ValueError: the token is not one of ours, or `top` is below 1.
        """
        rows, following = await page(
            self.hub.account.tables, self.hub.names.instances, query.rows(show_input), top, token
        )
        return list(await asyncio.gather(*(self._listed(row, show_input) for row in rows))), following

    async def _listed(self, row: Row, show_input: bool) -> InstanceStatus:
        try:
            return await self.hub.status_of(row, show_input)
        except (NotFound, Undecodable):
            return await self.hub.status_of(row, show_input, fetch=False)

    async def raise_event(self, instance_id: str, event_name: str, data: str) -> None:
        """Sends an external event. Says nothing about the instance: check its status first."""
        await self._send(instance_id, messages.EVENT_RAISED, Name=event_name, Input=data, ParentTraceContext=None)

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        """Asks for the end of an instance. InstanceNotFound: no row; InvalidOperation: it has ended already."""
        await self._check_state(instance_id, "terminate", RUNNING_STATES)
        await self._send(instance_id, messages.EXECUTION_TERMINATED, Input=reason)

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        """Asks an instance to pause. InstanceNotFound; InvalidOperation: it is suspended, or has ended."""
        await self._check_state(instance_id, "suspend", _SUSPENDABLE)
        await self._send(instance_id, messages.EXECUTION_SUSPENDED, Reason=reason)

    async def resume(self, instance_id: str, reason: str | None) -> None:
        """Asks a suspended instance to go on. InstanceNotFound; InvalidOperation: it is not suspended."""
        await self._check_state(instance_id, "resume", frozenset({"Suspended"}))
        await self._send(instance_id, messages.EXECUTION_RESUMED, Reason=reason)

    async def _check_state(self, instance_id: str, operation: str, allowed: frozenset[str]) -> None:
        status = await self._runtime_status(instance_id)
        if status not in allowed:
            raise InvalidOperation(
                f"Cannot {operation} the orchestration instance {instance_id} because instance is in the {status} "
                "state."
            )

    async def _runtime_status(self, instance_id: str) -> str:
        row = await self.hub.read_row(instance_id)
        if row is None:
            raise InstanceNotFound(f"No instance with ID '{instance_id}' was found.")
        return str(row.entity.get("RuntimeStatus", "Unknown"))

    async def _send(self, instance_id: str, kind: int, **properties: Any) -> None:
        # No execution id: the message is for whichever execution is the current one when it arrives.
        event = messages.event(kind, self.hub.clock.now(), **properties)
        await self.hub.send(TaskMessage(event, instance_id, None))

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        """Takes a failed instance back to before its failures.

        InstanceNotFound; InvalidOperation: it is not Failed, or the hub has no history of it.
        """
        if await self._runtime_status(instance_id) != "Failed":
            raise InvalidOperation("The rewind operation is only supported on failed orchestration instances.")
        for leaf in await rewind_history(self.hub, instance_id):
            event = {"Data": reason, **messages.event(messages.GENERIC, self.hub.clock.now())}
            await self.hub.send(TaskMessage(event, leaf, None))

    async def restart(self, instance_id: str, with_new_id: bool = True) -> str:
        """Starts the same function with the same input again; returns the id.

        InstanceNotFound; InstanceExists: the id is kept and the instance has not ended; InvalidOperation: the hub does
        not know the function's name; NotFound: the blob of a large input is missing.
        """
        status = await self.status(instance_id)
        if status is None:
            raise InstanceNotFound(f"An orchestrastion with the instanceId {instance_id} was not found.")
        if status.name is None:
            raise InvalidOperation(
                f"Cannot restart the orchestration instance {instance_id} because the Instances table does not say "
                "which function it runs."
            )
        new_id = None if with_new_id else instance_id
        return await self.start(status.name, new_id, status.input, version=status.version or "")

    async def purge(self, instance_id: str) -> int:
        """Deletes an instance's row, history and blobs, whatever its state; returns how many instances (0 or 1).

        Messages for it stay in their queues. The platform deletes the blobs of every instance whose id begins alike;
        here only its own are deleted. The row goes last, so that a purge which was cut short can be repeated.
        """
        if await self.hub.read_row(instance_id) is None:
            return 0
        return int(await self.hub.delete_instance(instance_id))  # somebody else may have purged it meanwhile

    async def purge_by(self, query: StatusQuery) -> int:
        """Deletes the instances that the query finds and returns how many.

        As the platform does it: statuses that are not terminal are ignored, and when none is left there is no
        condition on the status at all.
        """
        ended = query.only_ended().rows()
        found = Query(ended.where, ended.any_of, ("PartitionKey", "RowKey"))
        deleted = 0
        async for ids in self._ids(found):
            deleted += sum(await asyncio.gather(*(self.purge(instance_id) for instance_id in ids)))
        return deleted

    async def _ids(self, query: Query) -> AsyncIterator[builtins.list[str]]:
        """The ids of all rows of a query, some at a time."""
        token: str | None = None
        while True:
            found = await self.hub.account.tables.page(self.hub.names.instances, query, token, _PURGES_AT_ONCE)
            yield [unescape_key(str(row.entity["PartitionKey"])) for row in found.rows]
            if (token := found.token) is None:
                return

    async def signal_entity(self, entity_id: str, operation: str, input: str | None) -> None:
        """Sends a one-way operation to an entity, `@name@key`; `input` is the text of the operation's input."""
        await self.raise_event(entity_id, entities.REQUEST_EVENT, entities.signal(operation, input))

    async def entity_state(self, entity_id: str) -> str | None:
        """The JSON text of an entity's state (`null` for one that was deleted); None when it never existed.

        Undecodable: what the hub holds of it is no entity; NotFound: the blob of its large state is missing.
        """
        status = await self.status(entity_id)
        return None if status is None else entities.state_of(status.input)

    async def list_entities(
        self,
        name: str | None,
        operated_from: datetime | None,
        operated_to: datetime | None,
        fetch_state: bool,
        top: int = 100,
        token: str | None = None,
    ) -> tuple[builtins.list[EntityRecord], str | None]:
        """One page of entities in the order of their ids, and the token of the next page.

        Deleted entities are left out, except that with `fetch_state` one whose state is the text `null` is listed, as
        the extension does. ValueError: as for `list`.
        """
        query = StatusQuery(operated_from, operated_to, prefix=f"@{name.lower()}@" if name else "@")
        records: builtins.list[EntityRecord] = []
        while True:
            statuses, token = await self.list(query, top - len(records), token, show_input=fetch_state)
            records += [record for status in statuses if (record := entities.record(status, fetch_state))]
            if token is None or len(records) >= top:
                return records, token


def _generation_after(existing: Row | None) -> int | None:
    """Counts the starts of an id; children's rows have no generation, and neither has what replaces them."""
    if existing is None:
        return 0
    generation = existing.entity.get("Generation")
    return generation + 1 if isinstance(generation, int) else None


def _execution(row: Row) -> object:
    return row.entity.get("ExecutionId")
