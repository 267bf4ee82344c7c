"""The HTTP functions: starters, the durable client's every method, and what orchestrators call over HTTP."""

import json

import azure.durable_functions as df
import azure.functions as func
from client_calls import call
from values import CALLS, SWITCHES

blueprint = df.Blueprint()

POLLS = 3  # the target of a polled call is ready at this one


def body_of(request):
    try:
        return request.get_json()
    except ValueError:
        return None


def as_json(value):
    return func.HttpResponse(json.dumps(value, default=str), mimetype="application/json")


@blueprint.route(route="orchestrators/{functionName}", methods=["POST", "GET"])
@blueprint.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client):
    name, instance_id = req.route_params["functionName"], req.params.get("id")
    return client.create_check_status_response(req, await client.start_new(name, instance_id, body_of(req)))


@blueprint.route(route="wait/{functionName}", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
async def start_and_wait(req: func.HttpRequest, client):
    started = await client.start_new(req.route_params["functionName"], req.params.get("id"), body_of(req))
    timeout, interval = int(req.params.get("timeout", 10_000)), int(req.params.get("interval", 300))
    return await client.wait_for_completion_or_create_check_status_response(req, started, timeout, interval)


@blueprint.route(route="client/{action}", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
async def use_client(req: func.HttpRequest, client):
    try:
        return as_json({"result": await call(client, req, req.route_params["action"], req.get_json())})
    except Exception as error:  # which error the client raises is what was recorded
        return as_json({"raised": type(error).__name__, "text": str(error)})


@blueprint.route(route="switch/{key}/{value}", methods=["POST"])
async def set_switch(req: func.HttpRequest):
    SWITCHES[req.route_params["key"]] = req.route_params["value"]
    return func.HttpResponse(status_code=204)


@blueprint.route(route="calls/{key}", methods=["GET"])
async def read_calls(req: func.HttpRequest):
    return as_json(CALLS[req.route_params["key"]])


@blueprint.route(route="target/{status}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
async def http_target(req: func.HttpRequest):
    status, headers = int(req.route_params["status"]), {"X-Target": "yes"}
    if status == 202:
        key = req.params.get("key")
        CALLS[key] += 1
        if CALLS[key] >= POLLS:
            return func.HttpResponse("ready", status_code=200, headers=headers)
        headers.update({"Location": req.url, "Retry-After": "1"})
    if not req.params.get("echo"):
        return func.HttpResponse(f"status {status}", status_code=status, headers=headers)
    heard = {
        "method": req.method,
        "body": req.get_body().decode(),
        "type": req.headers.get("content-type"),
        "x-a": req.headers.get("x-a"),
    }
    return func.HttpResponse(json.dumps(heard), status_code=status, headers=headers, mimetype="application/json")
