"""Orchestrators of every shape, small enough to be replayed thousands of times."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


class Parcel:
    """A class that travels as {__class__, __module__, __data__}."""

    def __init__(self, weight: int) -> None:
        self.weight = weight

    @staticmethod
    def to_json(parcel: Parcel) -> str:
        return json.dumps({"weight": parcel.weight})

    @staticmethod
    def from_json(text: str) -> Parcel:
        return Parcel(json.loads(text)["weight"])


NOTES = []  # is_replaying, each time it was looked at


def note(context, seen):
    """What must be the same on a full replay and in a kept session."""
    NOTES.append(context.is_replaying)
    seen.append([str(context.current_utc_datetime), str(context.new_guid())])


@app.orchestration_trigger(context_name="context")
def chain(context):
    seen = []
    for city in ("Tokyo", "Seattle", "London"):
        note(context, seen)
        context.set_custom_status({"at": city, "seen": seen})
        yield context.call_activity("hello", city)
    note(context, seen)
    return seen


@app.orchestration_trigger(context_name="context")
def fan_out(context):
    seen = []
    tasks = [context.call_activity("hello", number) for number in range(5)]
    results = yield context.task_all(tasks)
    note(context, seen)
    return {"results": results, "seen": seen}


@app.orchestration_trigger(context_name="context")
def first_of_many(context):
    seen = []
    tasks = [context.call_activity("hello", number) for number in range(4)]
    waiting = list(tasks)
    while waiting:
        winner = yield context.task_any(waiting)
        waiting.remove(winner)
        note(context, seen)
    again = yield tasks[0]
    note(context, seen)
    everything = yield context.task_all(tasks)
    note(context, seen)
    context.set_custom_status(seen)
    return [again, everything, seen]


@app.orchestration_trigger(context_name="context")
def with_retries(context):
    seen = []
    options = df.RetryOptions(1000, 3)
    try:
        result = yield context.task_all(
            [
                context.call_activity_with_retry("flaky", options, "x"),
                context.call_activity("hello", "y"),
            ]
        )
    except Exception as error:
        result = str(error)
    note(context, seen)
    last = yield context.call_activity("hello", "last")
    return [result, last, seen]


@app.orchestration_trigger(context_name="context")
def event_or_timer(context):
    seen = []
    for round_number in range(3):
        timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
        event = context.wait_for_external_event("go")
        winner = yield context.task_any([event, timer])
        note(context, seen)
        if winner == event:
            timer.cancel()
        context.set_custom_status(["round", round_number, winner == event])
    answer = yield context.call_activity("hello", "done")
    note(context, seen)
    return [answer, seen]


@app.orchestration_trigger(context_name="context")
def long_timer(context):
    seen = []
    yield context.create_timer(context.current_utc_datetime + timedelta(days=8))
    note(context, seen)
    return seen


@app.orchestration_trigger(context_name="context")
def raises_after(context):
    result = yield context.call_activity("hello", "x")
    raise ValueError(f"after {result}")


@app.orchestration_trigger(context_name="context")
def raises_with_marker(context):
    yield context.call_activity("hello", "x")
    raise ValueError('before\n\n$OutOfProcData$:{"isDone":true} after')


@app.orchestration_trigger(context_name="context")
def catches(context):
    seen = []
    try:
        yield context.call_activity("flaky", "x")
    except Exception as error:
        seen.append(str(error)[:20])
    note(context, seen)
    yield context.call_sub_orchestrator("chain", {"a": 1}, "child")
    note(context, seen)
    return seen


@app.orchestration_trigger(context_name="context")
def eternal(context):
    count = context.get_input() or 0
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
    context.continue_as_new(count + 1)


@app.orchestration_trigger(context_name="context")
def plain(context):
    return {"input": context.get_input(), "id": context.instance_id}


@app.orchestration_trigger(context_name="context")
def unserialisable(context):
    yield context.call_activity("hello", "x")
    return Parcel(3)


@app.orchestration_trigger(context_name="context")
def talks_to_entities(context):
    seen = []
    counter = df.EntityId("Counter", "one")
    context.signal_entity(counter, "add", 5)
    value = yield context.call_entity(counter, "get")
    note(context, seen)
    other = yield context.task_all([context.call_entity(counter, "add", 1), context.wait_for_external_event("go")])
    note(context, seen)
    return [value, other, seen]


@app.orchestration_trigger(context_name="context")
def reads_late(context):
    """Looks at a finished task episodes later: is it a replay then?"""
    seen = []
    early = context.call_activity("hello", "early")
    other = context.call_activity("hello", "other")
    yield context.task_any([early, other])
    note(context, seen)
    yield context.call_activity("hello", "between")
    note(context, seen)
    yield context.task_any([early, other])
    note(context, seen)
    both = context.task_all([early, other])
    yield both
    note(context, seen)
    yield context.call_activity("hello", "after")
    yield both
    note(context, seen)
    return seen


@app.orchestration_trigger(context_name="context")
def never_ends(context):
    seen = []
    while True:
        timer = context.create_timer(context.current_utc_datetime + timedelta(minutes=5))
        winner = yield context.task_any([timer, context.wait_for_external_event("stop")])
        note(context, seen)
        if winner is not timer:
            timer.cancel()
        context.set_custom_status(seen[-2:])


@app.orchestration_trigger(context_name="context")
def shared_tasks(context):
    seen = []
    options = df.RetryOptions(1000, 2)
    unsure = context.call_activity_with_retry("flaky", options, "x")
    child = context.call_sub_orchestrator_with_retry("flaky", options, 1, "child")
    sure = context.call_activity("hello", "sure")
    for tasks in ([unsure, sure], [sure, child], [unsure, child, sure]):
        try:
            winner = yield context.task_any(tasks)
            seen.append([tasks.index(winner), str(winner.result)[:15]])
        except Exception as error:
            seen.append(str(error)[:15])
        note(context, seen)
    return seen


@app.orchestration_trigger(context_name="context")
def yields_nonsense(context):
    yield 5


@app.orchestration_trigger(context_name="context")
def raises_plainly(context):
    raise RuntimeError("not even a generator")


@app.orchestration_trigger(context_name="context")
def gives(context):
    return context.get_input()


@app.orchestration_trigger(context_name="context", orchestration="Renamed")
def renamed_orchestrator(context):
    parcel = yield context.call_activity("weigh", Parcel(7))
    return parcel


@app.activity_trigger(input_name="name")
def hello(name):
    return f"Hello {name}!"


@app.activity_trigger(input_name="name")
async def hello_async(name):
    return f"Hello {name}, later!"


@app.activity_trigger(input_name="parcel", activity="weigh")
def weigh_parcel(parcel):
    return [type(parcel).__name__, parcel.weight]


@app.activity_trigger(input_name="value")
def echo(value):
    return value


@app.activity_trigger(input_name="what")
def flaky(what):
    raise ValueError(f"no {what}")


@app.activity_trigger(input_name="seconds")
def sleeps(seconds):
    print("asleep")
    time.sleep(seconds)


@app.activity_trigger(input_name="what")
def returns_a_set(what):
    return {1, 2}


@app.entity_trigger(context_name="context", entity_name="Counter")
def counter_entity(context):
    total = context.get_state(lambda: 0)
    if context.operation_name == "add":
        total += context.get_input()
        context.set_state(total)
    context.set_result(total)
