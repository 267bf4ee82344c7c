"""Orchestrations that begin again, with what they carry over."""

import azure.durable_functions as df
from values import after

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context")
def count_up(context):
    order = context.get_input()
    if order["n"] == order["to"]:
        return order["n"]
    yield context.call_activity("echo", order["n"])
    context.continue_as_new({"n": order["n"] + 1, "to": order["to"]})
    return "ignored"


@blueprint.orchestration_trigger(context_name="context")
def collect(context):
    got = [*(context.get_input() or []), (yield context.wait_for_external_event("Item"))]
    if len(got) == 3:
        return got
    context.continue_as_new(got)


@blueprint.orchestration_trigger(context_name="context")
def slow_generation(context):
    order = context.get_input()
    if order["n"] == 0:
        context.set_custom_status("working")
        yield context.call_activity("slow", {"seconds": order["seconds"]})
        context.continue_as_new({"n": 1, "seconds": 0})
        return None
    timer = context.create_timer(after(context, 3))
    event = context.wait_for_external_event("Item")
    if (yield context.task_any([event, timer])) == timer:
        return "lost"
    timer.cancel()
    return {"kept": event.result}


@blueprint.orchestration_trigger(context_name="context")
def eternal(context):
    generation = context.get_input() or 0
    context.set_custom_status({"generation": "later" if generation else "first"})
    yield context.create_timer(after(context, 5 if generation else 1))
    context.continue_as_new(generation + 1)


@blueprint.orchestration_trigger(context_name="context")
def status_then_new(context):
    if context.get_input() == "second":
        yield context.wait_for_external_event("End")
        return "end"
    context.set_custom_status("from the first")
    yield context.call_activity("echo", 1)
    context.continue_as_new("second")


@blueprint.orchestration_trigger(context_name="context")
def new_then_raise(context):
    yield context.call_activity("echo", 1)
    context.continue_as_new("x")
    raise ValueError("after continue_as_new")


@blueprint.orchestration_trigger(context_name="context")
def renewed_without_yield(context):
    generation = context.get_input() or 0
    if generation == 3:
        return generation
    context.continue_as_new(generation + 1)
