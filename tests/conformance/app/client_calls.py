"""The durable client's methods by name, each with what it returned as plain JSON."""

import datetime

import azure.durable_functions as df
from values import VALUES, Point


async def call(client, request, action, given):
    """Calls one method; LookupError when there is none of that name."""
    if action not in CALLS_BY_NAME:
        raise LookupError(action)
    return await CALLS_BY_NAME[action](client, request, given)


async def start_new(client, _, given):
    return await client.start_new(given["name"], given.get("id"), given.get("input"))


async def start_value(client, _, given):
    return await client.start_new(given["name"], given.get("id"), VALUES[given["kind"]])


async def start_point(client, _, given):
    return await client.start_new(given["name"], given.get("id"), Point(1, 2))


async def get_status(client, _, given):
    flags = {name: given[name] for name in ("show_history", "show_history_output", "show_input") if name in given}
    return described(await client.get_status(given["id"], **flags), bool(given.get("show_history")))


async def status_json(client, _, given):
    return (await client.get_status(given["id"])).to_json()


async def get_status_all(client, _, given):
    found = await client.get_status_all()
    return {"some": len(found) > 0, "one_page_only": len(found) <= 100}


async def get_status_by(client, _, given):
    found = await client.get_status_by(*period_and_statuses(given), given.get("prefix"))
    return [status.instance_id for status in found if status.instance_id.startswith(given.get("mine", ""))]


async def raise_event(client, _, given):
    return await client.raise_event(given["id"], given["event"], given.get("data"))


def with_reason(method):
    async def act(client, _, given):
        return await getattr(client, method)(given["id"], given.get("reason"))

    return act


async def restart(client, _, given):
    return await client.restart(given["id"], given.get("new_id", True))


async def purge(client, _, given):
    return (await client.purge_instance_history(given["id"])).instances_deleted


async def purge_by(client, _, given):
    return (await client.purge_instance_history_by(*period_and_statuses(given))).instances_deleted


async def signal_entity(client, _, given):
    return await client.signal_entity(entity(given), given["op"], given.get("input"))


async def read_entity(client, _, given):
    found = await client.read_entity_state(entity(given))
    return {"exists": found.entity_exists, "state": found.entity_state}


async def payload(client, _, given):
    return client.create_http_management_payload(given["id"])


async def links(client, request, given):
    return client.get_client_response_links(request if given.get("request") else None, given["id"])


def described(status, with_history):
    if not status:
        return {"truth": False}
    seen = {
        "truth": True,
        "name": status.name,
        "instance_id": status.instance_id,
        "runtime_status": status.runtime_status.name if status.runtime_status else None,
        "input": status.input_,
        "output": status.output,
        "custom_status": status.custom_status,
        "created": type(status.created_time).__name__,
        "updated": type(status.last_updated_time).__name__,
    }
    if with_history:
        found = getattr(status, "historyEvents", None) or []
        seen.update(history=status.history, history_events=[event["EventType"] for event in found])
    return seen


def period_and_statuses(given):
    statuses = [df.OrchestrationRuntimeStatus[name] for name in given.get("statuses", [])]
    return moment(given.get("from")), moment(given.get("to")), statuses or None


def moment(text):
    return datetime.datetime.fromisoformat(text) if text else None


def entity(given):
    return df.EntityId(given["entity"], given["key"])


CALLS_BY_NAME = {
    function.__name__: function
    for function in (
        start_new, start_value, start_point, get_status, status_json, get_status_all, get_status_by, raise_event,
        restart, purge, purge_by, signal_entity, read_entity, payload, links,
    )
} | {method: with_reason(method) for method in ("terminate", "suspend", "resume", "rewind")}  # fmt: skip
