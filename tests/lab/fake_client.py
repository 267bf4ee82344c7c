"""A task hub's client whose instances live in a dictionary: what a test says they are, they are."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from taskhub.client import EntityRecord, StatusQuery, TaskHubClient
from taskhub.errors import InstanceExists, InstanceNotFound
from taskhub.instances import TERMINAL_STATES, InstanceStatus

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)


def instance(instance_id: str, state: str = "Running", **fields: Any) -> InstanceStatus:
    """An instance in some state."""
    known = {"execution_id": "e", "name": "chain", "version": "", "input": None, "output": None}
    times = {"custom_status": None, "created": CREATED, "last_updated": CREATED}
    return InstanceStatus(instance_id=instance_id, runtime_status=state, **{**known, **times, **fields})


class FakeClient(TaskHubClient):
    """Keeps what it is asked for in `asked`."""

    def __init__(self) -> None:
        self.instances: dict[str, InstanceStatus] = {}
        self.entities: dict[str, str] = {}
        self.asked: list[tuple[Any, ...]] = []

    def put(self, instance_id: str, state: str = "Running", **fields: Any) -> None:
        """Adds an instance."""
        self.instances[instance_id] = instance(instance_id, state, **fields)

    async def start(
        self,
        name: str,
        instance_id: str | None,
        input: str | None,
        scheduled_start: datetime | None = None,
        version: str = "",
    ) -> str:
        instance_id = instance_id or uuid.uuid4().hex
        self._must_be_free(instance_id)
        self.asked.append(("start", name, instance_id, input, version))
        self.put(instance_id, "Pending", name=name, input=input)
        return instance_id

    async def status(self, instance_id: str, show_input: bool = True) -> InstanceStatus | None:
        return self.instances.get(instance_id)

    async def history(
        self, instance_id: str, show_input: bool = True, show_output: bool = False
    ) -> list[dict[str, Any]]:
        return [{"EventType": "ExecutionStarted", "shown": [show_input, show_output]}]

    async def list(
        self, query: StatusQuery, top: int = 100, token: str | None = None, show_input: bool = True
    ) -> tuple[list[InstanceStatus], str | None]:
        start = int(token or 0)  # ValueError: not one of ours
        self.asked.append(("list", query, top))
        found = [self.instances[key] for key in sorted(self.instances)]
        return found[start : start + top], str(start + top) if len(found) > start + top else None

    async def raise_event(self, instance_id: str, event_name: str, data: str) -> None:
        self.asked.append(("raise_event", instance_id, event_name, data))

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        self.asked.append(("terminate", instance_id, reason))

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        self.asked.append(("suspend", instance_id, reason))

    async def resume(self, instance_id: str, reason: str | None) -> None:
        self.asked.append(("resume", instance_id, reason))

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        self.asked.append(("rewind", instance_id, reason))

    async def restart(self, instance_id: str, with_new_id: bool = True) -> str:
        found = self.instances.get(instance_id)
        if found is None:
            raise InstanceNotFound(instance_id)
        new_id = uuid.uuid4().hex if with_new_id else instance_id
        self._must_be_free(new_id)
        self.instances[new_id] = replace(found, instance_id=new_id, runtime_status="Pending")
        return new_id

    async def purge(self, instance_id: str) -> int:
        return 1 if self.instances.pop(instance_id, None) else 0

    async def purge_by(self, query: StatusQuery) -> int:
        self.asked.append(("purge_by", query))
        return len(self.instances)

    async def signal_entity(self, entity_id: str, operation: str, input: str | None) -> None:
        self.asked.append(("signal_entity", entity_id, operation, input))

    async def entity_state(self, entity_id: str) -> str | None:
        return self.entities.get(entity_id)

    async def list_entities(
        self,
        name: str | None,
        operated_from: datetime | None,
        operated_to: datetime | None,
        fetch_state: bool,
        top: int = 100,
        token: str | None = None,
    ) -> tuple[list[EntityRecord], str | None]:
        records = []
        for entity_id, state in sorted(self.entities.items()):
            own_name, key = entity_id[1:].split("@", 1)
            if name is None or own_name == name.lower():
                records.append(EntityRecord(own_name, key, CREATED, state))
        return records, None

    def _must_be_free(self, instance_id: str) -> None:
        found = self.instances.get(instance_id)
        if found is not None and found.runtime_status not in TERMINAL_STATES:
            raise InstanceExists(instance_id)
