"""What becomes of values on their way in, through activities, and out."""

import azure.durable_functions as df
from values import UNSERIALISABLE, VALUES, Point, first_line

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context")
def echo_async_input(context):
    return (yield context.call_activity("echo_async", context.get_input()))


@blueprint.orchestration_trigger(context_name="context")
def describe_input(context):
    return (yield context.call_activity("describe", context.get_input()))


@blueprint.orchestration_trigger(context_name="context")
def get_produced(context):
    return (yield context.call_activity("produce", context.get_input()))


@blueprint.orchestration_trigger(context_name="context")
def echo_input(context):
    value = context.get_input()
    back = yield context.call_activity("echo", value)
    return {"input": value, "back": back, "type": type(value).__name__}


@blueprint.orchestration_trigger(context_name="context")
def input_kind(context):
    value = context.get_input()
    return f"{type(value).__name__} {value!r}"


@blueprint.orchestration_trigger(context_name="context")
def get_produced_bad(context):
    try:
        return (yield context.call_activity("produce_bad", context.get_input()))
    except Exception as error:
        return first_line(error)


@blueprint.orchestration_trigger(context_name="context")
def get_produced_length(context):
    return len((yield context.call_activity("produce", context.get_input())))


@blueprint.orchestration_trigger(context_name="context")
def round_trip(context):
    value = yield context.call_activity("produce", context.get_input())
    return value == (yield context.call_activity("echo", value))


@blueprint.orchestration_trigger(context_name="context")
def give(context):
    return VALUES[context.get_input()]


@blueprint.orchestration_trigger(context_name="context")
def give_bad(context):
    return UNSERIALISABLE[context.get_input()]


@blueprint.orchestration_trigger(context_name="context")
def mirror_point(context):
    return described((yield context.call_activity("mirror", Point(1, 2))))


@blueprint.orchestration_trigger(context_name="context")
def point_input(context):
    return described(context.get_input())


@blueprint.orchestration_trigger(context_name="context")
def point_output(context):
    return Point(3, 4)


@blueprint.orchestration_trigger(context_name="context")
def call_named(context):
    return (yield context.call_activity(context.get_input(), "x"))


@blueprint.orchestration_trigger(context_name="context", orchestration="RenamedOrchestrator")
def renamed_orchestrator(context):
    return "renamed"


@blueprint.function_name(name="NamedOrchestrator")
@blueprint.orchestration_trigger(context_name="context")
def named_orchestrator(context):
    return (yield context.call_activity("NamedActivity", 1))


def described(point):
    return [type(point).__name__, point.x, point.y]
