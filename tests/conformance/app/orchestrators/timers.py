"""Durable timers: waited for, cancelled, forgotten, longer than the platform's longest."""

import azure.durable_functions as df
from values import after

blueprint = df.Blueprint()

DAY = 24 * 3600


@blueprint.orchestration_trigger(context_name="context")
def sleeper(context):
    begin, seconds = context.current_utc_datetime, context.get_input()
    yield context.create_timer(after(context, seconds))
    slept = (context.current_utc_datetime - begin).total_seconds()
    return slept > seconds - 1.5  # accounts delay by whole seconds


@blueprint.orchestration_trigger(context_name="context")
def naive_timer(context):
    yield context.create_timer(after(context, 1).replace(tzinfo=None))
    return "woke"


@blueprint.orchestration_trigger(context_name="context")
def two_timers(context):
    long = context.create_timer(after(context, 30))
    short = context.create_timer(after(context, 1))
    winner = yield context.task_any([long, short])
    long.cancel()
    return winner == short


@blueprint.orchestration_trigger(context_name="context")
def loser_timer(context):
    order = context.get_input()
    timer = context.create_timer(after(context, order["seconds"]))
    work = context.call_activity("echo", "work")
    winner = yield context.task_any([work, timer])
    if order["cancel"]:
        timer.cancel()
    return winner == work


@blueprint.orchestration_trigger(context_name="context")
def cancel_fired(context):
    timer = context.create_timer(after(context, 0))
    yield timer
    timer.cancel()
    return "cancelled"


@blueprint.orchestration_trigger(context_name="context")
def long_sleep(context):
    yield context.create_timer(after(context, 3600))
    return "late"


@blueprint.orchestration_trigger(context_name="context")
def thirty_days(context):
    yield context.create_timer(after(context, 30 * DAY))
    return "late"
