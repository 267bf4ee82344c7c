"""Sub-orchestrations: children, grandchildren, and what parents hear of their failures."""

import azure.durable_functions as df
from values import first_line, raise_kind

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context")
def child(context):
    said = yield context.call_activity("say_hello", context.get_input()["city"])
    return {"said": said, "parent": context.parent_instance_id}


@blueprint.orchestration_trigger(context_name="context")
def failing_child(context):
    yield context.call_activity("echo", 1)
    raise_kind(context.get_input())


@blueprint.orchestration_trigger(context_name="context")
def flaky_child(context):
    return (yield context.call_activity("flaky", context.get_input()))


@blueprint.orchestration_trigger(context_name="context")
def parent(context):
    order = context.get_input()
    return (yield context.call_sub_orchestrator(order["name"], order.get("input"), order.get("id")))


@blueprint.orchestration_trigger(context_name="context")
def parent_catching(context):
    order = context.get_input()
    try:
        return (yield context.call_sub_orchestrator(order["name"], order.get("input"), order.get("id")))
    except Exception as error:
        return {"caught": first_line(error)}


@blueprint.orchestration_trigger(context_name="context")
def parent_retrying(context):
    order = context.get_input()
    options, work = df.RetryOptions(200, order["attempts"]), {"key": context.instance_id, "good": order["good"]}
    return (yield context.call_sub_orchestrator_with_retry("flaky_child", options, work, order.get("id")))


@blueprint.orchestration_trigger(context_name="context")
def grandparent(context):
    return (yield context.call_sub_orchestrator("parent", {"name": "child", "input": {"city": "Oslo"}}))


@blueprint.orchestration_trigger(context_name="context")
def family(context):
    children = [
        context.call_sub_orchestrator("child", {"city": city}, f"{context.instance_id}-{city}")
        for city in ("Bonn", "Rome")
    ]
    return [answer["said"] for answer in (yield context.task_all(children))]


@blueprint.orchestration_trigger(context_name="context")
def parent_of_self(context):
    try:
        return (yield context.call_sub_orchestrator("child", {"city": "Me"}, context.instance_id))
    except Exception as error:
        return {"caught": first_line(error)}
