"""Orchestrations for damaged storage, very long histories and very large values."""

import asyncio
import os
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="start/{name}/{id?}", methods=["POST", "PUT"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client):
    """Starts whatever is asked for; what cannot be started is the caller's fault."""
    try:
        data = req.get_body().decode()
        instance_id = await client.start_new(req.route_params["name"], req.route_params.get("id"), data)
    except Exception as error:
        return func.HttpResponse(f"{type(error).__name__}: {error}", status_code=400)
    return client.create_check_status_response(req, instance_id)


@app.route(route="mirror/{*rest}")
def mirror(req: func.HttpRequest):
    return func.HttpResponse(req.get_body(), headers={"x-rest": str(len(req.route_params.get("rest") or ""))})


@app.orchestration_trigger(context_name="context")
def plain(context):
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def greet(context):
    return (yield context.call_activity("hello", "Tokyo"))


@app.orchestration_trigger(context_name="context")
def wait(context):
    return (yield context.wait_for_external_event("news"))


@app.orchestration_trigger(context_name="context")
def collect(context):
    found = []
    for _ in range(context.get_input()):
        found.append((yield context.wait_for_external_event("news")))
    return len(found)


@app.orchestration_trigger(context_name="context")
def carry(context):
    """The input through an activity, then an event's value, then both out."""
    echoed = yield context.call_activity("echo", context.get_input())
    told = yield context.wait_for_external_event("news")
    return [echoed, told]


@app.orchestration_trigger(context_name="context")
def slow_fan(context):
    """As many activities as the input says, each of a minute."""
    return (yield context.task_all([context.call_activity("rest", 60) for _ in range(context.get_input())]))


@app.orchestration_trigger(context_name="context")
def sequence(context):
    for _ in range(context.get_input()):
        yield context.call_activity("hello", "Tokyo")
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def race(context):
    """Begins anew when the event came before the timer; `pause` first waits for something else."""
    order = context.get_input()
    timer = context.create_timer(context.current_utc_datetime + timedelta(minutes=5))
    news = context.wait_for_external_event("news")
    if (yield context.task_any([timer, news])) == timer or order["generation"] == order["most"]:
        return order["generation"]
    timer.cancel()
    if order["pause"]:
        yield context.create_timer(context.current_utc_datetime)
    context.continue_as_new({**order, "generation": order["generation"] + 1})


@app.orchestration_trigger(context_name="context")
def kill_the_worker(context):
    os._exit(3)


@app.activity_trigger(input_name="name")
def hello(name: str) -> str:
    return f"Hello {name}!"


@app.activity_trigger(input_name="seconds")
async def rest(seconds: int) -> str:
    await asyncio.sleep(seconds)
    return "rested"


@app.activity_trigger(input_name="value")
def echo(value: str) -> str:
    return value


@app.entity_trigger(context_name="context")
def pile(context):
    """Is as large as it was last told to be."""
    if context.operation_name == "become":
        context.set_state("P" * context.get_input())
    context.set_result(len(context.get_state(lambda: "")))


@app.orchestration_trigger(context_name="context")
def ask_pile(context):
    return (yield context.call_entity(df.EntityId("pile", "one"), "become", context.get_input()))
