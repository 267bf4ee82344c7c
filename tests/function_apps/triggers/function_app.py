"""Functions with every trigger and binding that the lab serves, and one that it does not."""

import json
import logging
from typing import List  # noqa: UP035  (as most public apps write it)

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *", run_on_startup=True)
@app.queue_output(arg_name="$return", queue_name="ticks", connection="AzureWebJobsStorage")
def tick(timer: func.TimerRequest) -> str:
    return json.dumps({"past_due": timer.past_due, "next": timer.schedule_status.get("Next", "")})


@app.queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsStorage")
@app.blob_input(arg_name="customer", path="customers/{customer}.json", connection="AzureWebJobsStorage")
@app.blob_output(arg_name="receipt", path="receipts/{id}.txt", connection="AzureWebJobsStorage")
@app.table_output(arg_name="row", table_name="orders", partition_key="{customer}", connection="AzureWebJobsStorage")
def order(message: func.QueueMessage, customer: func.InputStream, receipt: func.Out[str], row: func.Out[str]) -> None:
    found = json.loads(message.get_body())
    if found.get("is_bad"):
        raise ValueError("bad order")
    name = json.loads(customer.read())["name"] if customer else "somebody"
    receipt.set(f"{name}: {found['sku']} (try {message.dequeue_count}, {message.insertion_time:%Y-%m-%d})")
    row.set(json.dumps({"RowKey": message.id, "sku": found["sku"], "quantity": 2, "lines": [1, 2]}))


@app.blob_trigger(arg_name="blob", path="incoming/{name}.txt", connection="AzureWebJobsStorage")
@app.blob_output(arg_name="$return", path="outgoing/{name}.upper", connection="AzureWebJobsStorage")
async def shout(blob: func.InputStream) -> bytes:
    return f"{blob.name} {blob.length}: ".encode() + blob.read().upper()


@app.route(route="orders/{customer}", methods=["POST"])
@app.queue_output(arg_name="messages", queue_name="orders", connection="AzureWebJobsStorage")
def send(req: func.HttpRequest, messages: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    messages.set([json.dumps({"customer": req.route_params["customer"], "sku": sku}) for sku in req.get_json()])
    return func.HttpResponse(status_code=202)


@app.route(route="orders/{customer}", methods=["GET"])
@app.table_input(arg_name="rows", table_name="orders", partition_key="{customer}", connection="AzureWebJobsStorage")
def look(req: func.HttpRequest, rows) -> str:  # type: ignore[no-untyped-def]
    return json.dumps(sorted(row["sku"] for row in json.loads(rows)))


@app.route(route="notes/{key}", methods=["PUT"])
@app.table_output(arg_name="row", table_name="notes", connection="AzureWebJobsStorage")
def keep(req: func.HttpRequest, row: func.Out[str]) -> func.HttpResponse:
    row.set(req.get_body().decode())
    return func.HttpResponse(status_code=201)


@app.queue_trigger(arg_name="message", queue_name="starts", connection="AzureWebJobsStorage")
@app.durable_client_input(client_name="client")
async def start(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    await client.start_new("greeting", message.id, message.get_body().decode())


@app.orchestration_trigger(context_name="context")
def greeting(context: df.DurableOrchestrationContext):  # type: ignore[no-untyped-def]
    return (yield context.call_activity("greet", context.get_input()))


@app.activity_trigger(input_name="name")
def greet(name: str) -> str:
    logging.info("Greeting %s", name)
    return f"Hello {name}!"


@app.service_bus_queue_trigger(arg_name="message", queue_name="elsewhere", connection="BUS")
def unserved(message: func.ServiceBusMessage) -> None:
    raise AssertionError("not run here")


@app.activity_trigger(input_name="asked")
@app.table_input(arg_name="rows", table_name="orders", partition_key="{customer}", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="counted", queue_name="counts", connection="AzureWebJobsStorage")
def count(asked: dict, rows, counted: func.Out[str]) -> int:  # type: ignore[no-untyped-def, type-arg]
    counted.set(f"{asked['customer']}: {len(json.loads(rows))}")
    return len(json.loads(rows))
