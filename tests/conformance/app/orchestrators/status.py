"""Custom status, and what must be the same at every replay, or is not."""

import azure.durable_functions as df
from values import CALLS, REPLAYS, VALUES, after

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context")
def show_status(context):
    context.set_custom_status(VALUES[context.get_input()])
    yield context.wait_for_external_event("Go")
    return "done"


@blueprint.orchestration_trigger(context_name="context")
def change_status(context):
    for status in ("one", {"step": 2}, ""):
        context.set_custom_status(status)
        yield context.wait_for_external_event("Go")
    return "done"


@blueprint.orchestration_trigger(context_name="context")
def guids(context):
    before = [str(context.new_guid()), str(context.new_guid()), context.new_uuid(), context.new_uuid()]
    seen = yield context.call_activity("echo", before)
    every = {*before, str(context.new_guid())}
    return {"stable": seen == before, "distinct": len(every) == 5, "sample": before}


@blueprint.orchestration_trigger(context_name="context")
def clock(context):
    first = context.current_utc_datetime
    seen = yield context.call_activity("echo", first.isoformat())
    yield context.create_timer(after(context, 3))
    moved = (context.current_utc_datetime - first).total_seconds() > 1
    return {"stable": seen == first.isoformat(), "moved": moved, "has_zone": first.tzinfo is not None}


@blueprint.orchestration_trigger(context_name="context")
def replay_flags(context):
    said = REPLAYS[context.instance_id]
    said.append(context.is_replaying)
    for number in (1, 2):
        yield context.call_activity("echo", number)
        said.append(context.is_replaying)
    return said


@blueprint.orchestration_trigger(context_name="context")
def who_am_i(context):
    return {
        "id": context.instance_id,
        "parent": context.parent_instance_id,
        "input": context.get_input(),
        "version": context.version,
    }


# What an orchestrator does first when it is run, and what when it is replayed.
MINDS = {
    "other_activity": (lambda c: c.call_activity("echo", 1), lambda c: c.call_activity("square", 1)),
    "timer_for_activity": (lambda c: c.call_activity("echo", 1), lambda c: c.create_timer(after(c, 60))),
    "activity_for_timer": (lambda c: c.create_timer(after(c, 0)), lambda c: c.call_activity("echo", 1)),
    "child_for_activity": (
        lambda c: c.call_activity("echo", 1),
        lambda c: c.call_sub_orchestrator("child", {"city": "x"}),
    ),
    "event_for_activity": (lambda c: c.call_activity("echo", 1), lambda c: c.wait_for_external_event("Never")),
    "other_child": (
        lambda c: c.call_sub_orchestrator("child", {"city": "x"}),
        lambda c: c.call_sub_orchestrator("returns_plainly", {"city": "x"}),
    ),
    "other_input": (lambda c: c.call_activity("echo", 1), lambda c: c.call_activity("echo", 2)),
}


@blueprint.orchestration_trigger(context_name="context")
def changes_its_mind(context):
    """Takes another path when it is replayed."""
    kind = context.get_input()
    CALLS[context.instance_id] += 1
    is_again = CALLS[context.instance_id] > 1
    if kind == "nothing":
        if not is_again:
            yield context.call_activity("echo", 1)
        return "nothing to do"
    if kind in MINDS:
        yield MINDS[kind][is_again](context)
    yield context.call_activity("echo", 3)
    return "went through"
