"""Orchestrators whose histories the tests of the doctor damage."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
LARGE = 90000


@app.orchestration_trigger(context_name="context")
def steps(context):
    first = yield context.call_activity("work", "first")
    told = yield context.wait_for_external_event("go")
    second = yield context.call_activity("work", "second")
    return [first, told, second]


@app.orchestration_trigger(context_name="context")
def two(context):
    first = yield context.wait_for_external_event("a")
    second = yield context.wait_for_external_event("b")
    return [first, second, (yield context.call_activity("work", "end"))]


@app.orchestration_trigger(context_name="context")
def echo(context):
    told = yield context.wait_for_external_event("go")
    return [told, len(context.get_input())]


@app.orchestration_trigger(context_name="context")
def much(context):
    yield context.call_activity("work", "first")
    return "R" * LARGE


@app.orchestration_trigger(context_name="context")
def above(context):
    return len((yield context.call_sub_orchestrator("much", None, f"{context.instance_id}-kid")))


@app.orchestration_trigger(context_name="context")
def above_steps(context):
    return (yield context.call_sub_orchestrator("steps", None, f"{context.instance_id}-kid"))


@app.orchestration_trigger(context_name="context")
def asks(context):
    counter = df.EntityId("counter", "k")
    before = yield context.call_entity(counter, "add", 5)
    told = yield context.wait_for_external_event("go")
    after = yield context.call_entity(counter, "add", 7)
    return [before, told, after, (yield context.call_activity("work", "end"))]


@app.activity_trigger(input_name="task")
def work(task: str):
    return f"done {task}"


@app.entity_trigger(context_name="context")
def counter(context):
    value = context.get_state(lambda: 0) + (context.get_input() or 0)
    context.set_state(value)
    context.set_result(value)


@app.entity_trigger(context_name="context")
def bag(context):
    kept = context.get_state(lambda: "")
    if context.operation_name == "put":
        kept += context.get_input()
        context.set_state(kept)
    context.set_result(len(kept))
