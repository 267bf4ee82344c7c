"""Gather events into batches, by count or by time, for ever: continue-as-new that loses none of them.

POST /api/orchestrators/eternal?id=meter {"batch_size": 10, "batch_seconds": 60}
POST /api/SendExternalEvent   {"instanceId": "meter", "eventName": "item", "data": {"id": "m-1", "value": 7}}
                              {"instanceId": "meter", "eventName": "item", "data": {"stop": true}}

Each batch becomes the blob batches/{instance}/{number}.json. An item that comes twice with the same `id` counts once,
as long as the first is among the last thousand.
"""

import json
from datetime import timedelta
from typing import Any, TypedDict

import azure.durable_functions as df

from workflows import blobs, region
from workflows.inputs import Checks
from workflows.orchestration import TIME_OVER, TURN_OF_A_GENERATION, Inbox, Steps
from workflows.retries import STORAGE

blueprint = region.Blueprint()

ITEM_EVENT = "item"
IDS_KEPT = 1000
BATCHES_PER_GENERATION = 25


def check(data: Any) -> dict[str, Any]:
    """How many items, or how many seconds after the first of them, make a batch."""
    checks = Checks()
    wanted = checks.record({} if data is None else data, "body", ("batch_size", "batch_seconds"))
    return checks.finish(
        {
            "batch_size": checks.number(wanted.get("batch_size"), "batch_size", 1, 1000, default=10, whole=True),
            "batch_seconds": checks.number(wanted.get("batch_seconds"), "batch_seconds", 1, 86_400, default=60),
        }
    )


@blueprint.orchestration_trigger(context_name="context")
def eternal(context: df.DurableOrchestrationContext) -> Steps:
    """Some batches a generation; what came meanwhile and was not read yet begins the next."""
    state: Any = context.get_input()
    inbox = Inbox(context, ITEM_EVENT, state.get("unread"), TURN_OF_A_GENERATION)
    batches, total, ids = state.get("batches", 0), state.get("items", 0), list(state.get("ids", []))
    for _ in range(BATCHES_PER_GENERATION):
        context.set_custom_status({"batches": batches, "items": total})
        items, ids, stopped = yield from _gather(context, inbox, state, ids)
        if items:
            batches, total = batches + 1, total + len(items)
            batch = {"instance": context.instance_id, "number": batches, "items": items}
            yield from inbox.during(context.call_activity_with_retry("keep_batch", STORAGE, batch))
        if stopped:
            return {"batches": batches, "items": total}
    unread = yield from inbox.carry()
    context.continue_as_new({**state, "batches": batches, "items": total, "ids": ids, "unread": unread})
    return None


def _gather(context: df.DurableOrchestrationContext, inbox: Inbox, state: dict[str, Any], ids: list[Any]) -> Steps:
    """Items until there are enough or the first has waited long enough; then whether it was told to stop."""
    items: list[Any] = []
    until = None
    while len(items) < state["batch_size"]:
        event = yield from inbox.next(until)
        if isinstance(event, dict) and event.get("stop"):
            return items, ids, True
        key = event.get("id") if isinstance(event, dict) else None
        if event is TIME_OVER:
            break
        if key is not None and key in ids:
            continue
        ids = [*ids, key][-IDS_KEPT:] if key is not None else ids
        items.append(event)
        until = until or context.current_utc_datetime + timedelta(seconds=state["batch_seconds"])
    return items, ids, False


class Batch(TypedDict):
    """One batch to keep."""

    instance: str
    number: int
    items: list[Any]


@blueprint.activity_trigger(input_name="batch")
def keep_batch(batch: Batch) -> str:
    """Writes the batch under its number; written again, it is the same batch."""
    name = f"batches/{batch['instance']}/{batch['number']:06d}.json"
    blobs.container().put(name, json.dumps(batch["items"]).encode())
    return name
