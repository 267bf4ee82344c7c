"""The endpoints that serve every workflow: start by name, raise an event, read a status, list the catalogue.

Azure matches overlapping routes in the alphabetical order of the functions' names, not by how exact they are. So no
workflow has a route of its own below `orchestrators/`, and no two routes in this app can match the same request.
"""

import asyncio
import json
from datetime import datetime
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

import workflows
from workflows import inputs, records, region, responses
from workflows.inputs import BODY_LIMIT_BYTES, Checks
from workflows.responses import Conflict, Gone, HubUnavailable, NotFound, Refused

blueprint = region.Blueprint()

DEFAULT_EVENT_NAME = "event"
LOOKS_FOR_A_BEGINNING, SECONDS_BETWEEN_LOOKS = 50, 0.2
TERMINAL = frozenset({"Completed", "Failed", "Terminated", "Canceled"})


@blueprint.route(route="orchestrators/{name}", methods=["GET", "POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def start_workflow(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Starts any workflow of the catalogue: 202 with its links, 404 with the names when there is none of that name."""
    workflow = workflows.find(req.route_params["name"])
    if workflow is None:
        names = [known.name for known in workflows.CATALOGUE]
        raise NotFound(f"There is no workflow {req.route_params['name']!r}.", workflows=names)
    return await start(req, client, workflow.name)


@blueprint.route(route="SendExternalEvent", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def send_external_event(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Raises an event for one instance: `{"instanceId": "...", "eventName": "event", "data": any JSON}`."""
    checks = Checks()
    wanted = checks.record(inputs.json_body(req), "body", ("instanceId", "eventName", "data"))
    instance_id = checks.text(wanted.get("instanceId"), "instanceId", longest=256)
    event_name = checks.text(wanted.get("eventName"), "eventName", default=DEFAULT_EVENT_NAME)
    checks.finish(wanted)
    inputs.checked_id(event_name, "eventName")
    await raise_event(client, inputs.checked_id(instance_id, "instanceId"), event_name, wanted.get("data"))
    return responses.json_response({"instanceId": instance_id, "eventName": event_name}, 202)


@blueprint.route(route="instances/{id}", methods=["GET"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def get_instance(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """The status of one instance, from an address that needs no management key and survives a change of region."""
    return await answer_status(req, client, req.route_params["id"])


@blueprint.route(route="workflows", methods=["GET"])
async def list_workflows(req: func.HttpRequest) -> func.HttpResponse:
    """The catalogue: name, address, pattern and one sentence of each workflow."""
    return responses.json_response(
        [
            {"name": w.name, "route": f"/api/{w.route}", "pattern": w.pattern, "sentence": w.sentence}
            for w in workflows.CATALOGUE
        ]
    )


@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@responses.refusals_answered
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """What a load balancer asks: 200 by a running app, at once and without touching the hub; 503 by a fenced one.

    It says also whether accepted requests are on record; 503 with the setting's name when that cannot be known.
    """
    found = region.last_known()
    if not found.allowed:
        return responses.refusal(HubUnavailable(found.reason, address=found.address))
    return responses.json_response({"status": "ok", **records.status()})


async def start(
    req: func.HttpRequest,
    client: df.DurableOrchestrationClient,
    name: str,
    limit_bytes: int = BODY_LIMIT_BYTES,
) -> func.HttpResponse:
    """What every starter does: check the input, start once, answer with the links.

    Raises InvalidInput, TooLarge or Conflict, and nothing is started then.
    """
    workflow = workflows.find(name)
    assert workflow is not None, f"{name} is missing in the catalogue"
    data = workflow.checker()(inputs.json_body(req, limit_bytes))
    instance_id = inputs.chosen_id(req, workflow.name)
    await start_once(client, workflow.name, instance_id, data)
    return responses.accepted(req, client, instance_id)


def id_of(started: func.HttpResponse) -> str:
    """The instance that a starter's answer speaks of."""
    return str(json.loads(started.get_body())["id"])


async def answer_status(
    req: func.HttpRequest, client: df.DurableOrchestrationClient, instance_id: str, name: str = ""
) -> func.HttpResponse:
    """The status of an instance (of the named workflow): 202 with Location and Retry-After until its end, then 200."""
    status = await known_status(client, instance_id, name)
    if status["runtimeStatus"] in TERMINAL:
        return responses.json_response(status)
    headers = {"Location": responses.with_public_origin(req.url), "Retry-After": str(responses.RETRY_AFTER_SECONDS)}
    return responses.json_response(status, 202, headers)


async def wait_or_accept(
    req: func.HttpRequest, client: df.DurableOrchestrationClient, instance_id: str, seconds: float
) -> func.HttpResponse:
    """The instance's output if it ends within `seconds`, else 202 with its links (the SDK's contract for this)."""
    interval = min(1000, int(seconds * 1000))
    answer = await client.wait_for_completion_or_create_check_status_response(
        req, instance_id, int(seconds * 1000), interval
    )
    return responses.accepted(req, client, instance_id) if answer.status_code == 202 else answer


async def start_once(client: df.DurableOrchestrationClient, name: str, instance_id: str, data: Any) -> None:
    """Starts the instance unless there is one of that id.

    Raises Conflict when the id belongs to another workflow, HubUnavailable when it is not known whether it started.
    """
    if await is_started(client, name, instance_id):
        return
    try:
        await _start(client, name, instance_id, data)
    except Refused:  # before the hub was asked: fenced, or not put on record
        raise
    except Exception as error:
        # Two requests at once: the extension refuses the second start, which is then as good as the first.
        if not await is_started(client, name, instance_id):
            raise HubUnavailable(f"{instance_id!r} was not started: {error}. Send it again with this id.") from error


async def start_single(client: df.DurableOrchestrationClient, name: str, instance_id: str, data: Any) -> bool:
    """Starts an instance that may follow a finished one of the same id, never a running one; whether it was started."""
    if await is_running(client, instance_id):
        return False
    try:
        await _start(client, name, instance_id, data)
    except Refused:  # before the hub was asked: fenced, or not put on record
        raise
    except Exception as error:
        if not await is_running(client, instance_id):
            raise HubUnavailable(f"{instance_id!r} was not started: {error}.") from error
        return False
    return True


async def _start(client: df.DurableOrchestrationClient, name: str, instance_id: str, data: Any) -> None:
    """The one place where instances begin, whatever triggered it: on record first, then in the hub."""
    entry = await records.start(instance_id, name, data)
    await records.handed_over(entry, client.start_new(name, instance_id, data))


async def look_up(client: df.DurableOrchestrationClient, instance_id: str) -> DurableOrchestrationStatus | None:
    """The instance's status, or None when there is no such instance.

    The SDK answers a failed query with an empty status too, as if there were none; that must not start a second run.
    """
    status = await client.get_status(instance_id, show_input=True)
    failure = getattr(status, "ExceptionMessage", None) or getattr(status, "Message", None)
    if not status and failure:
        raise HubUnavailable(f"The status of {instance_id!r} cannot be read: {failure}")
    return status or None


async def is_running(client: df.DurableOrchestrationClient, instance_id: str) -> bool:
    """Whether the instance exists and has not ended."""
    status = await look_up(client, instance_id)
    return status is not None and getattr(status.runtime_status, "name", "") not in TERMINAL


async def is_started(client: df.DurableOrchestrationClient, name: str, instance_id: str) -> bool:
    """Whether the instance exists, running or finished; raises Conflict when the id belongs to another workflow."""
    status = await look_up(client, instance_id)
    if status is None:
        return False
    if str(status.name).lower() != name.lower():
        raise Conflict(f"The id {instance_id!r} belongs to an instance of {status.name!r}; choose another.")
    return True


async def raise_event(client: df.DurableOrchestrationClient, instance_id: str, name: str, data: Any) -> None:
    """Raises the event for a running instance; every event of the app passes here.

    Raises NotFound for an unknown instance, Gone for a finished one, HubUnavailable for one that does not begin.
    """
    status = await _begun_status(client, instance_id)
    if status["runtimeStatus"] in TERMINAL:
        raise Gone(f"The instance {instance_id!r} has already finished: {status['runtimeStatus']}.")
    entry = await records.event(instance_id, name, data)
    try:
        await records.handed_over(entry, client.raise_event(instance_id, name, data))
    except Exception as error:
        _refuse_late_event(instance_id, error)
        raise


async def _begun_status(client: df.DurableOrchestrationClient, instance_id: str) -> dict[str, Any]:
    """The status once the instance is no longer Pending.

    An event that the hub reads before the instance's start is thrown away ("No such instance"). After a host has been
    killed that is easily so: the start it had in hand stays hidden for a minute.
    """
    for _ in range(LOOKS_FOR_A_BEGINNING):
        status = await known_status(client, instance_id)
        if status["runtimeStatus"] != "Pending":
            return status
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
    raise HubUnavailable(f"The instance {instance_id!r} has not begun yet and would miss the event; send it again.")


async def signal(
    client: df.DurableOrchestrationClient, entity: df.EntityId, operation: str, data: dict[str, Any] | None = None
) -> None:
    """Sends one operation to an entity, which has no answer; every signal of the app passes here."""
    entry = await records.signal(str(entity), operation, data)
    await records.handed_over(entry, client.signal_entity(entity, operation, data))


def _refuse_late_event(instance_id: str, error: Exception) -> None:
    """The instance ended or was purged between the look and the event; the SDK tells the two by text only."""
    if "is gone" in str(error):
        raise Gone(f"The instance {instance_id!r} has already finished.") from error
    if "No instance" in str(error):
        raise NotFound(f"There is no instance {instance_id!r}.") from error


async def known_status(client: df.DurableOrchestrationClient, instance_id: str, name: str = "") -> dict[str, Any]:
    """The instance's status in the shape of the extension's own; raises NotFound when there is none (of that name)."""
    status = await look_up(client, inputs.checked_id(instance_id, "id"))
    if status is None or (name and str(status.name).lower() != name):
        raise NotFound(f"There is no instance {instance_id!r}.")
    return {
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": getattr(status.runtime_status, "name", None),
        "input": _decoded(status.input_),
        "customStatus": status.custom_status,
        "output": status.output,
        "createdTime": _text(status.created_time),
        "lastUpdatedTime": _text(status.last_updated_time),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _decoded(stored: Any) -> Any:
    """The input as it was sent: the SDK stores JSON inside a JSON text."""
    if not isinstance(stored, str):
        return stored
    try:
        return json.loads(stored)
    except ValueError:
        return stored
