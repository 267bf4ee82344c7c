"""The app that is measured: the smallest orchestration of each shape."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
ROUNDS = 100_000  # of a CPU-bound activity: some milliseconds
CITIES = ("Tokyo", "Seattle", "Cairo", "London", "Mumbai")


@app.route(route="start/{name}/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client):
    instance_id = await client.start_new(req.route_params["name"], req.route_params["id"])
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def hello_cities(context):
    """Five activities, one after the other."""
    greetings = []
    for city in CITIES:
        greetings.append((yield context.call_activity("hello", city)))
    return greetings


@app.orchestration_trigger(context_name="context")
def one_activity(context):
    """A single activity."""
    return (yield context.call_activity("hello", "Tokyo"))


@app.orchestration_trigger(context_name="context")
def sequence(context):
    """As many activities as the input says, one after the other."""
    for number in range(context.get_input()):
        yield context.call_activity("hello", str(number))
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def fan_out(context):
    """As many activities as the input says, all at once."""
    results = yield context.task_all([context.call_activity("hello", str(n)) for n in range(context.get_input())])
    return len(results)


@app.orchestration_trigger(context_name="context")
def five_letters(context):
    """Five activities, one after the other, each with an input as long as the orchestration's says."""
    for _ in range(5):
        yield context.call_activity("read", "x" * context.get_input())
    return 5


@app.orchestration_trigger(context_name="context")
def gather_events(context):
    """As many external events as the input says."""
    for _ in range(context.get_input()):
        yield context.wait_for_external_event("news")
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def wait(context):
    """One external event."""
    return (yield context.wait_for_external_event("news"))


@app.activity_trigger(input_name="city")
def hello(city: str) -> str:
    return f"Hello {city}!"


@app.orchestration_trigger(context_name="context")
def fan_out_work(context):
    """As many CPU-bound activities as the input says, all at once."""
    results = yield context.task_all([context.call_activity("work", ROUNDS) for _ in range(context.get_input())])
    return len(results)


@app.activity_trigger(input_name="rounds")
def work(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


@app.activity_trigger(input_name="letter")
def read(letter: str) -> int:
    return len(letter)
