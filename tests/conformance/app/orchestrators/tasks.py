"""One activity after the other, many at once, the first of several, and tasks used in odd ways."""

import azure.durable_functions as df
from values import first_line

blueprint = df.Blueprint()

LATE = {"seconds": 1.5, "value": "late"}


@blueprint.orchestration_trigger(context_name="context")
def chain(context):
    said = []
    for city in context.get_input() or ["Tokyo", "Seattle", "London"]:
        said.append((yield context.call_activity("say_hello", city)))
    return said


@blueprint.orchestration_trigger(context_name="context")
def fan_out(context):
    return (yield context.task_all([context.call_activity("square", n) for n in range(context.get_input())]))


@blueprint.orchestration_trigger(context_name="context")
def fan_out_failing(context):
    order = context.get_input()
    tasks = [context.call_activity("fail_on", {"n": n, "bad": order["bad"]}) for n in range(order["n"])]
    try:
        return (yield context.task_all(tasks))
    except Exception as error:
        if not order.get("catch"):
            raise
        return first_line(error)


@blueprint.orchestration_trigger(context_name="context")
def race(context):
    quick = context.call_activity("echo", "quick")
    winner = yield context.task_any([context.call_activity("slow", LATE), quick])
    return [winner == quick, winner.result]


@blueprint.orchestration_trigger(context_name="context")
def race_failing(context):
    bad = context.call_activity("fail", "value")
    winner = yield context.task_any([context.call_activity("slow", LATE), bad])
    return [winner == bad, type(winner.result).__name__, first_line(winner.result)]


@blueprint.orchestration_trigger(context_name="context")
def one_by_one(context):
    waiting, got = [context.call_activity("square", n) for n in range(4)], []
    while waiting:
        winner = yield context.task_any(waiting)
        waiting.remove(winner)
        got.append(winner.result)
    return sorted(got)


@blueprint.orchestration_trigger(context_name="context")
def nested(context):
    every = context.task_all([context.call_activity("square", 2), context.call_activity("square", 3)])
    first = context.task_any([context.call_activity("echo", "only")])
    squares, winner = yield context.task_all([every, first])
    return [squares, winner.result]


@blueprint.orchestration_trigger(context_name="context")
def empty_compounds(context):
    every = yield context.task_all([])
    first = yield context.task_any([])
    return [every, first]


@blueprint.orchestration_trigger(context_name="context")
def same_task_twice(context):
    task = context.call_activity("count_call", context.instance_id)
    return [(yield task), (yield task)]


@blueprint.orchestration_trigger(context_name="context")
def never_yielded(context):
    context.call_activity("count_call", context.instance_id)
    yield context.call_activity("echo", 1)
    return "done"


@blueprint.orchestration_trigger(context_name="context")
def late_yield(context):
    early = context.call_activity("echo", "early")
    first = yield context.call_activity("echo", "first")
    return [first, (yield early)]
