"""What the stored state of an entity tells of those who called it, by the rules of the extension's MessageSorter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recovery.observed import EPOCH, json_object, moment_of, request_of
from taskhub.messages import Event


@dataclass(frozen=True)
class EntityState:
    """{exists, state, lockedBy, sorter} as the input of an entity's run holds it (extension 2.13.7)."""

    stored: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        return bool(self.stored.get("exists"))

    @property
    def locked_by(self) -> str:
        """The orchestration in whose critical section the entity is; empty when it is in none."""
        return str(self.stored.get("lockedBy") or "")

    @property
    def _sorter(self) -> dict[str, Any]:
        return json_object(self.stored.get("sorter"))

    @property
    def horizon(self) -> datetime:
        """A request that follows one from before this time is executed without waiting for that one."""
        return moment_of(self._sorter.get("ReceiveHorizon"))

    def received_from(self, caller: str) -> dict[str, Any]:
        """{Last, ExecutionId, Buffered} of a caller; empty when the entity keeps nothing of it."""
        return json_object(json_object(self._sorter.get("ReceivedFromInstance")).get(caller))

    def has_executed(self, call: Event) -> bool:
        """Whether the entity has executed a call, by the time of the last one that it took from the caller."""
        request = request_of(call) or {}
        last, sent = self.received_from(str(request.get("parent") or "")), moment_of(request.get("Timestamp"))
        return moment_of(last.get("Last")) >= sent if last else EPOCH < sent <= self.horizon

    def keeps_for_later(self, call: Event) -> bool:
        """Whether the entity holds a request back until an earlier one of the same caller arrives."""
        request = request_of(call) or {}
        buffered = json_object(self.received_from(str(request.get("parent") or "")).get("Buffered"))
        return any(kept.get("id") == request.get("id") for kept in buffered.values() if isinstance(kept, dict))
