"""Waiting for external events: in turn, together, against the clock, and too late."""

import azure.durable_functions as df
from values import after

blueprint = df.Blueprint()


def each_in_turn(context, names):
    got = []
    for name in names:
        got.append((yield context.wait_for_external_event(name)))
    return got


@blueprint.orchestration_trigger(context_name="context")
def wait_event(context):
    value = yield context.wait_for_external_event(context.get_input() or "Go")
    return {"value": value, "type": type(value).__name__}


@blueprint.orchestration_trigger(context_name="context")
def wait_in_turn(context):
    return (yield from each_in_turn(context, context.get_input()))


@blueprint.orchestration_trigger(context_name="context")
def wait_all(context):
    return (yield context.task_all([context.wait_for_external_event(name) for name in context.get_input()]))


@blueprint.orchestration_trigger(context_name="context")
def wait_after_work(context):
    order = context.get_input()
    yield context.call_activity("slow", {"seconds": order["seconds"]})
    return (yield from each_in_turn(context, order["names"]))


@blueprint.orchestration_trigger(context_name="context")
def approval(context):
    timer = context.create_timer(after(context, context.get_input()))
    event = context.wait_for_external_event("Approval")
    if (yield context.task_any([event, timer])) == timer:
        return "timed out"
    timer.cancel()
    return {"approved": event.result}


@blueprint.orchestration_trigger(context_name="context")
def abandoned_wait(context):
    abandoned = context.wait_for_external_event("Go")
    yield context.task_any([abandoned, context.create_timer(after(context, 0))])
    context.set_custom_status("abandoned")
    second = yield context.wait_for_external_event("Go")
    context.set_custom_status("second")
    return [second, (yield context.wait_for_external_event("Go"))]


@blueprint.orchestration_trigger(context_name="context")
def stage_gate(context):
    passed = []
    for name in ("One", "Two"):
        context.set_custom_status(f"waiting for {name}")
        passed.append((yield context.wait_for_external_event(name)))
    return passed
