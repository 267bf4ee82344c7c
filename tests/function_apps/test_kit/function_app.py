"""An app for the tests of the test kit."""

import datetime

import azure.durable_functions as df

app = df.DFApp()


@app.activity_trigger(input_name="name")
def greet(name: str) -> str:
    return f"Hello {name}"


@app.orchestration_trigger(context_name="context")
def greet_all(context):
    said = []
    for name in context.get_input():
        said.append((yield context.call_activity("greet", name)))
    return said


@app.orchestration_trigger(context_name="context")
def decide(context):
    deadline = context.current_utc_datetime + datetime.timedelta(days=context.get_input()["days"])
    timer, decision = context.create_timer(deadline), context.wait_for_external_event("decision")
    winner = yield context.task_any([decision, timer])
    if winner == timer:
        return "nobody answered"
    timer.cancel()
    return decision.result


@app.orchestration_trigger(context_name="context")
def many_races(context):
    for number in range(context.get_input()["rounds"]):
        timer = context.create_timer(context.current_utc_datetime + datetime.timedelta(hours=1))
        work = context.call_activity("greet", str(number))
        yield context.task_any([work, timer])
        timer.cancel()
    return context.get_input()["rounds"]
