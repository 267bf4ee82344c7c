"""Keep what devices report, one durable entity each, and watch them: alarms and silence are told to somebody.

PUT    /api/devices/{id}/limits     {"low": 2, "high": 8, "heartbeat_seconds": 60}
POST   /api/devices/{id}/readings   {"id": "r-1", "at": "2026-01-31T12:00:00Z", "value": 4.5}
GET    /api/devices/{id}            last value, min, max and mean of the window, missed heartbeats
DELETE /api/devices/{id}
POST   /api/devices/{id}/watch      {"notify": "ops@example.com"}: an orchestration that waits for alarms

POST   /api/counters/{key}   {"add": 1, "id": "c-1"}, GET, DELETE: the smallest entity.

A reading or an addition that comes twice with the same `id` counts once. A Python entity can neither start a timer nor
raise an event, so the endpoint raises the alarm after it has signalled the reading, and the watch asks for silence.
"""

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import azure.durable_functions as df
import azure.functions as func

from workflows import device_state, inputs, region, responses, retries, starters
from workflows.inputs import Checks
from workflows.orchestration import TIME_OVER, TURN_OF_A_GENERATION, Inbox, Steps, from_iso, iso
from workflows.responses import Gone, NotFound
from workflows.retries import FORWARD, GaveUp

blueprint = region.Blueprint()

WATCH = "device_watch"
ENTITY = "device"
COUNTER = "counter"
ALARM_EVENT = "alarm"
LARGEST = 1e12
EVENTS_PER_GENERATION = 100
IDS_KEPT = 200


@blueprint.route(route="devices/{id}/limits", methods=["PUT"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def set_limits(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Sets what is normal for a device: 202, since the entity takes the message in its turn."""
    checks = Checks()
    given = checks.record(inputs.json_body(req), "body", ("low", "high", "heartbeat_seconds"))
    low = checks.number(given.get("low"), "low", -LARGEST, LARGEST, default=-LARGEST)
    limits = {
        "low": low,
        "high": checks.number(given.get("high"), "high", low, LARGEST, default=LARGEST),
        "heartbeat_seconds": checks.number(given.get("heartbeat_seconds"), "heartbeat_seconds", 1, 10**7, default=300),
    }
    await starters.signal(client, _entity(req), "limits", checks.finish(limits))
    return responses.json_response(limits, 202)


@blueprint.route(route="devices/{id}/readings", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def add_reading(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Adds one reading and raises the alarm if it is out of limits; sent again with its id, both count once."""
    device_id = inputs.checked_id(req.route_params["id"], "id")
    reading = _reading(inputs.json_body(req))
    found = await client.read_entity_state(_entity(req))
    await starters.signal(client, _entity(req), "reading", reading)
    alarm = device_state.alarm(found.entity_state or {}, reading) if found.entity_exists else ""
    watched = await _raise_alarm(client, device_id, reading, alarm) if alarm else False
    return responses.json_response({"reading": reading, "alarm": alarm, "watched": watched}, 202)


def _reading(data: Any) -> dict[str, Any]:
    checks = Checks()
    given = checks.record(data, "body", ("id", "at", "value"))
    value = checks.number(given.get("value"), "value", -LARGEST, LARGEST)
    at = checks.text(given.get("at"), "at", default=iso(datetime.now(timezone.utc)))
    try:
        at = iso(from_iso(at).astimezone(timezone.utc)) if at else ""
    except ValueError as error:
        checks.wrong("at", f"must be a date and time with a zone: {error}")
    return checks.finish({"id": checks.text(given.get("id"), "id", default=uuid4().hex), "at": at, "value": value})


async def _raise_alarm(
    client: df.DurableOrchestrationClient, device_id: str, reading: dict[str, Any], alarm: str
) -> bool:
    """Tells the device's watch; False when nobody watches."""
    try:
        data = {"id": reading["id"], "at": reading["at"], "alarm": alarm}
        await starters.raise_event(client, watch_id(device_id), ALARM_EVENT, data)
    except (NotFound, Gone):
        return False
    return True


@blueprint.route(route="devices/{id}", methods=["GET"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def get_device(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """The device's state now, missed heartbeats included."""
    found = await client.read_entity_state(_entity(req))
    if not found.entity_exists or not found.entity_state:
        raise NotFound(f"The device {req.route_params['id']!r} has never reported.")
    return responses.json_response(device_state.summary(found.entity_state, datetime.now(timezone.utc)))


@blueprint.route(route="devices/{id}", methods=["DELETE"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def delete_device(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Forgets the device; one that is not there is fine."""
    await starters.signal(client, _entity(req), "delete")
    return responses.json_response({}, 202)


@blueprint.route(route="devices/{id}/watch", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def watch_device(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Starts the device's one watch; a second request finds the first."""
    device_id = inputs.checked_id(req.route_params["id"], "id")
    given = inputs.json_body(req)
    data = check({**({} if given is None else given), "device": device_id} if isinstance(given or {}, dict) else given)
    await starters.start_once(client, WATCH, watch_id(device_id), data)
    return responses.accepted(req, client, watch_id(device_id))


def watch_id(device_id: str) -> str:
    """The instance that watches a device: one each, found without asking."""
    return f"watch-{device_id}"


def _entity(req: func.HttpRequest) -> df.EntityId:
    return df.EntityId(ENTITY, inputs.checked_id(req.route_params["id"], "id"))


def check(data: Any) -> dict[str, Any]:
    """Which device to watch, whom to tell, and how often to look whether it has gone silent."""
    checks = Checks()
    wanted = checks.record(data, "body", ("device", "notify", "look_every_seconds"))
    device_id = checks.text(wanted.get("device"), "device")
    if device_id and not inputs.ID_PATTERN.fullmatch(device_id):
        checks.wrong("device", inputs.ID_RULE)
    look = checks.number(wanted.get("look_every_seconds"), "look_every_seconds", 1, 86_400, default=60)
    notify = checks.text(wanted.get("notify"), "notify", default="operations")
    return checks.finish({"device": device_id, "notify": notify, "look_every_seconds": look})


@blueprint.orchestration_trigger(context_name="context")
def device_watch(context: df.DurableOrchestrationContext) -> Steps:
    """Tells every alarm once and every silence once, for as long as the device has one; `{"stop": true}` ends it."""
    state: Any = context.get_input()
    inbox = Inbox(context, ALARM_EVENT, state.get("unread"), TURN_OF_A_GENERATION)
    told, silent_since = list(state.get("told", [])), state.get("silent_since", "")
    for _ in range(EVENTS_PER_GENERATION):
        context.set_custom_status({"device": state["device"], "alarms": len(told)})
        wake = context.current_utc_datetime + timedelta(seconds=state["look_every_seconds"])
        event = yield from inbox.next(wake)
        if isinstance(event, dict) and event.get("stop"):
            return {"status": "stopped", "told": told}
        if event is TIME_OVER:
            silent_since = yield from _look_for_silence(context, inbox, state, silent_since)
        elif isinstance(event, dict) and event.get("id") not in told:
            told = [*told, event.get("id")][-IDS_KEPT:]
            yield from _tell(context, inbox, state, f"alarm-{event.get('id')}", str(event.get("alarm")))
    context.continue_as_new({**state, "told": told, "silent_since": silent_since, "unread": (yield from inbox.carry())})
    return None


def _look_for_silence(
    context: df.DurableOrchestrationContext, inbox: Inbox, state: dict[str, Any], silent_since: str
) -> Steps:
    """Since when the device is silent, told once a silence; empty while it reports."""
    now = iso(context.current_utc_datetime)
    seen = yield from inbox.during(context.call_entity(df.EntityId(ENTITY, state["device"]), "look", {"now": now}))
    if not seen["missed_heartbeats"]:
        return ""
    if seen["last_at"] != silent_since:
        words = f"no reading since {seen['last_at']}"
        yield from _tell(context, inbox, state, f"silence-{seen['last_at']}", words)
    return seen["last_at"]


def _tell(context: df.DurableOrchestrationContext, inbox: Inbox, state: dict[str, Any], about: str, text: str) -> Steps:
    message = {
        "key": f"{context.instance_id}/device/{about}",
        "to": state["notify"],
        "subject": f"Device {state['device']}",
        "text": text,
    }
    try:
        yield from retries.call_with_backoff(context, "send_notification", message, FORWARD, inbox.during)
    except GaveUp as error:
        context.set_custom_status({"device": state["device"], "not_told": str(error)})


@blueprint.entity_trigger(context_name="context", entity_name=ENTITY)
def device(context: df.DurableEntityContext) -> None:
    """One device: takes readings and limits, is looked at, is deleted."""
    operation = str(context.operation_name)
    if operation == "delete":
        context.set_result(True)
        context.destruct_on_exit()
        return
    state = context.get_state(device_state.new)
    if operation == "look":
        context.set_result(device_state.summary(state, from_iso(context.get_input()["now"])))
        return
    change = {"reading": device_state.add_reading, "limits": device_state.set_limits}.get(operation)
    if change is None:
        raise ValueError(f"A device knows reading, limits, look and delete, not {operation!r}.")
    context.set_state(change(state, context.get_input()))
    context.set_result(True)


@blueprint.route(route="counters/{key}", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def add_to_counter(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Adds to a counter; sent again with the same `id` it counts once."""
    checks = Checks()
    given = checks.record(inputs.json_body(req), "body", ("add", "id"))
    amount = checks.number(given.get("add"), "add", -LARGEST, LARGEST, default=1, whole=True)
    addition = checks.finish({"add": amount, "id": checks.text(given.get("id"), "id", default=uuid4().hex)})
    await starters.signal(client, _counter(req), "add", addition)
    return responses.json_response(addition, 202)


@blueprint.route(route="counters/{key}", methods=["GET"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def get_counter(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """The counter's value; 404 before the first addition."""
    found = await client.read_entity_state(_counter(req))
    if not found.entity_exists or not found.entity_state:
        raise NotFound(f"Nothing was added to the counter {req.route_params['key']!r} yet.")
    return responses.json_response({"value": found.entity_state["value"]})


@blueprint.route(route="counters/{key}", methods=["DELETE"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def delete_counter(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Deletes the counter; one that is not there is fine."""
    await starters.signal(client, _counter(req), "delete")
    return responses.json_response({}, 202)


def _counter(req: func.HttpRequest) -> df.EntityId:
    return df.EntityId(COUNTER, inputs.checked_id(req.route_params["key"], "key"))


@blueprint.entity_trigger(context_name="context", entity_name=COUNTER)
def counter(context: df.DurableEntityContext) -> None:
    """A number that grows; it remembers the last additions by id so that none counts twice."""
    if context.operation_name == "delete":
        context.set_result(True)
        context.destruct_on_exit()
        return
    state = context.get_state(lambda: {"value": 0, "ids": []})
    if context.operation_name == "add":
        given = context.get_input()
        if given["id"] not in state["ids"]:
            state = {"value": state["value"] + given["add"], "ids": [*state["ids"], given["id"]][-IDS_KEPT:]}
            context.set_state(state)
    context.set_result(state["value"])
