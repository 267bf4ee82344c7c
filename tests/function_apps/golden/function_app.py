"""The orchestrators that the recorded failure cuts ran, written anew from their histories."""

import json
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def shop(context):
    order = context.get_input()
    paid = yield context.call_activity("work", {"id": context.instance_id, "step": "pay"})
    timeout = context.create_timer(context.current_utc_datetime + timedelta(seconds=order["wait"]))
    approval = context.wait_for_external_event("Approval")
    winner = yield context.task_any([approval, timeout])
    if winner == approval:
        timeout.cancel()
        return [paid, "event", approval.result]
    return [paid, "timeout"]


@app.orchestration_trigger(context_name="context")
def sleeper(context):
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()["secs"]))
    return "slept"


@app.orchestration_trigger(context_name="context")
def waiter2(context):
    first = yield context.wait_for_external_event("Approval")
    second = yield context.wait_for_external_event("Approval")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def hello(context):
    said = []
    for city in ("Tokyo", "Seattle", "London"):
        said.append((yield context.call_activity("work", {"id": context.instance_id, "step": city})))
    return said


@app.orchestration_trigger(context_name="context")
def parent(context):
    done = yield context.call_sub_orchestrator("child", {}, f"{context.instance_id}-kid")
    return ["parent", done]


@app.orchestration_trigger(context_name="context")
def child(context):
    return (yield context.call_activity("work", {"id": context.instance_id, "step": "kid"}))


@app.orchestration_trigger(context_name="context")
def eternal(context):
    state = context.get_input()
    yield context.call_activity("work", {"id": context.instance_id, "step": state["n"]})
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=state["secs"]))
    if state["n"] + 1 >= state["max"]:
        return state["n"]
    context.continue_as_new({**state, "n": state["n"] + 1})


@app.orchestration_trigger(context_name="context")
def fan(context):
    tasks = [
        context.call_activity("work", {"id": context.instance_id, "step": n}) for n in range(context.get_input()["n"])
    ]
    return len((yield context.task_all(tasks)))


@app.orchestration_trigger(context_name="context")
def caller(context):
    return (yield context.call_entity(df.EntityId("counter", context.get_input()["key"]), "add", 5))


@app.orchestration_trigger(context_name="context")
def fails(context):
    return (yield context.call_activity("boom"))


@app.activity_trigger(input_name="task")
def work(task: str):
    step = json.loads(task)["step"] if isinstance(task, str) else task["step"]
    return f"done {step}"


@app.activity_trigger(input_name="nothing")
def boom(nothing: str):
    raise ValueError("boom")


@app.entity_trigger(context_name="context")
def counter(context):
    value = context.get_state(lambda: 0)
    if context.operation_name == "add":
        value += context.get_input()
        context.set_state(value)
    context.set_result(value)
