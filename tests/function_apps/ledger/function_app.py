"""An app for the kill tests: its activities write into a ledger, a file outside of the hub, when they begin and end."""

import json
import os
import time
from datetime import datetime, timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

STEPS = 3


@app.orchestration_trigger(context_name="context")
def chain(context):
    """Three activities, one after the other."""
    results = []
    for number in range(STEPS):
        results.append((yield context.call_activity("work", {"instance": context.instance_id, "step": number})))
    return results


@app.orchestration_trigger(context_name="context")
def fan(context):
    """Three activities side by side."""
    work = [{"instance": context.instance_id, "step": number} for number in range(STEPS)]
    return (yield context.task_all([context.call_activity("work", one) for one in work]))


@app.orchestration_trigger(context_name="context")
def waiter(context):
    """An event, then an activity."""
    received = yield context.wait_for_external_event("go")
    yield context.call_activity("work", {"instance": context.instance_id, "step": 0})
    return received


@app.orchestration_trigger(context_name="context")
def sleeper(context):
    """A timer; returns when it was due and when it fired."""
    due = context.current_utc_datetime + timedelta(seconds=float(context.get_input()))
    yield context.create_timer(due)
    fired: datetime = context.current_utc_datetime
    return [due.isoformat(), fired.isoformat()]


@app.activity_trigger(input_name="job")
def work(job: dict) -> int:
    """Takes a moment, so that a kill meets it half-way."""
    note(job, "begin")
    time.sleep(0.05)
    note(job, "end")
    return job["step"]


def note(job: dict, moment: str) -> None:
    """One line, written at once."""
    line = json.dumps({**job, "moment": moment}) + "\n"
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)
