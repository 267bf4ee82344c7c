"""Entities as a client sees them: the signal it sends, and the state in an entity's Instances row."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from taskhub.errors import Undecodable
from taskhub.history import is_entity_id
from taskhub.instances import InstanceStatus

REQUEST_EVENT = "op"  # the name of the event that carries a request
_NO_TIME = "0001-01-01T00:00:00"  # clients take no part in the ordering of requests
_NEVER = datetime(1, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class EntityRecord:
    """One entity as the list of entities shows it."""

    name: str
    key: str
    last_operation: datetime
    state: str | None  # JSON text


def signal(operation: str, input: str | None) -> str:
    """The request that a client's signal carries, as JSON (RequestMessage of the extension)."""
    request: dict[str, Any] = {"op": operation, "signal": True}
    if input is not None:
        request["input"] = input
    request |= {"id": str(uuid.uuid4()), "Timestamp": _NO_TIME, "Predecessor": _NO_TIME}
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False)


def state_of(scheduler_state: str | None) -> str | None:
    """The entity's state in its scheduler's state, which is the row's Input. Undecodable: it is none."""
    if scheduler_state is None:
        return None
    try:
        scheduler = json.loads(scheduler_state)
        state = scheduler.get("state")
    except (ValueError, AttributeError) as error:
        raise Undecodable(f"{scheduler_state[:60]!r} is not the state of an entity") from error
    return state if state is None or isinstance(state, str) else json.dumps(state)


def record(status: InstanceStatus, fetch_state: bool) -> EntityRecord | None:
    """A row as an item of the list of entities, None when it is not to be listed.

    With the state, what counts is that there is one, be it `null`; without, what the custom status says
    (EntityTrackingStoreQueries.GetEntityMetadataAsync, where also the creation stands for the last operation: a new
    execution begins with every batch). A state that cannot be read is listed as None.
    """
    if not is_entity_id(status.instance_id):
        return None
    state = None
    if fetch_state:
        try:
            state = state_of(status.input)
            if state is None:
                return None
        except Undecodable:
            pass
    elif not _exists(status.custom_status):
        return None
    name, _, key = status.instance_id[1:].partition("@")
    return EntityRecord(name, key, status.created or status.last_updated or _NEVER, state)


def _exists(custom_status: str | None) -> bool:
    try:
        return json.loads(custom_status or "null")["entityExists"] is True
    except (ValueError, TypeError, KeyError):
        return False
