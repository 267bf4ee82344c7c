"""Errors that are caught, that are not, and that are tried again."""

import json

import azure.durable_functions as df
from values import first_line, raise_kind

blueprint = df.Blueprint()


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@blueprint.orchestration_trigger(context_name="context")
def activity_fails(context):
    return (yield context.call_activity("fail", context.get_input()))


@blueprint.orchestration_trigger(context_name="context")
def activity_caught(context):
    try:
        yield context.call_activity("fail", context.get_input())
    except Exception as error:
        lines = str(error).split("\n")
        return {
            "type": type(error).__name__,
            "first": lines[0],
            "lines": len(lines),
            "detail_is_json": is_json(lines[-1]),
        }


@blueprint.orchestration_trigger(context_name="context")
def activity_detail(context):
    try:
        yield context.call_activity("fail", context.get_input())
    except Exception as error:
        reason, _, text = str(error).partition(" \n ")
        detail = json.loads(text)
        return {
            "reason": reason,
            "keys": list(detail),
            "class": detail.get("ClassName"),
            "message": detail.get("Message"),
            "inner_class": (detail.get("InnerException") or {}).get("ClassName"),
        }


@blueprint.orchestration_trigger(context_name="context")
def compensate(context):
    done = []
    try:
        done.append((yield context.call_activity("echo", "reserved")))
        done.append((yield context.call_activity("fail", "custom")))
    except Exception:
        done.append((yield context.call_activity("echo", "released")))
    return done


@blueprint.orchestration_trigger(context_name="context")
def unknown_activity(context):
    try:
        return (yield context.call_activity("no_such_activity", 1))
    except Exception as error:
        return first_line(error)


@blueprint.orchestration_trigger(context_name="context")
def raises(context):
    order = context.get_input()
    if order.get("status"):
        context.set_custom_status(order["status"])
    if order.get("after"):
        yield context.call_activity("echo", 1)
    raise_kind(order["kind"])


@blueprint.orchestration_trigger(context_name="context")
def raises_plainly(context):
    raise ValueError("no generator here")


@blueprint.orchestration_trigger(context_name="context")
def returns_plainly(context):
    return {"plain": context.get_input()}


@blueprint.orchestration_trigger(context_name="context")
def yields_number(context):
    yield 5
    return "after"


@blueprint.orchestration_trigger(context_name="context")
def yields_none(context):
    yield None
    return "after"


@blueprint.orchestration_trigger(context_name="context")
def retried(context):
    order, begin = context.get_input(), context.current_utc_datetime
    options = df.RetryOptions(order.get("interval", 200), order["attempts"])
    work = {"key": context.instance_id, "good": order["good"]}
    try:
        value = yield context.call_activity_with_retry("flaky", options, work)
    except Exception as error:
        if not order.get("catch"):
            raise
        value = first_line(error)
    took = (context.current_utc_datetime - begin).total_seconds()
    return {"value": value, "waited": took >= order.get("least", 0)}


@blueprint.orchestration_trigger(context_name="context")
def retried_together(context):
    works = [{"key": f"{context.instance_id}-{n}", "good": n + 1} for n in range(3)]
    tasks = [context.call_activity_with_retry("flaky", df.RetryOptions(200, 3), work) for work in works]
    values = yield context.task_all([*tasks, context.call_activity("echo", "steady")])
    return [*values, (yield context.call_activity("echo", "last"))]


@blueprint.orchestration_trigger(context_name="context")
def bad_retry_options(context):
    df.RetryOptions(0, 3)
    yield
