"""Orchestrations to suspend, terminate, rewind and restart; and HTTP calls."""

import azure.durable_functions as df
from values import first_line

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context")
def works_then_waits(context):
    context.set_custom_status("working")
    done = yield context.call_activity("slow", {"seconds": context.get_input() or 1, "value": "worked"})
    context.set_custom_status("waiting")
    return [done, (yield context.wait_for_external_event("Go"))]


@blueprint.orchestration_trigger(context_name="context")
def long_activity(context):
    return (yield context.call_activity("slow", {"seconds": context.get_input(), "value": "finished"}))


@blueprint.orchestration_trigger(context_name="context")
def through_gate(context):
    first = yield context.call_activity("count_call", f"{context.instance_id}-first")
    return [first, (yield context.call_activity("gated", context.instance_id))]


@blueprint.orchestration_trigger(context_name="context")
def parent_of_gate(context):
    inner = yield context.call_sub_orchestrator("through_gate", None, f"{context.instance_id}-child")
    return ["parent", inner]


@blueprint.orchestration_trigger(context_name="context")
def gate_fan_out(context):
    counted = context.call_activity("count_call", f"{context.instance_id}-a")
    return (yield context.task_all([counted, context.call_activity("gated", context.instance_id)]))


@blueprint.orchestration_trigger(context_name="context")
def call_web(context):
    order = context.get_input()
    try:
        answer = yield context.call_http(order["method"], order["uri"], order.get("content"), order.get("headers"))
    except Exception as error:
        return {"caught": first_line(error)}
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    return {
        "keys": sorted(answer),
        "status": answer["statusCode"],
        "content": answer["content"],
        "x-target": headers.get("x-target"),
        "location": headers.get("location"),
        "has_content_type": "content-type" in headers,
    }
