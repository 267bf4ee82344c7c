"""Start orchestrations from other triggers: a stock-taking every night, and one delivery for each message of a queue.

Timer    02:00 UTC        starts `nightly` under one fixed id: never two at once, in whichever region, and one a day
Queue    deliveries       {"sku": "tea", "quantity": 100} starts `delivery` under the message's id: redelivered, it is
                          the same instance, and nothing is added twice

Both also start over HTTP: POST /api/orchestrators/nightly {"date": "2026-01-31", "products": ["tea"]}.
"""

import json
import logging
from datetime import date, datetime, timezone
from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

from workflows import blobs, inputs, region, retries, settings, starters, stock
from workflows.inputs import Checks
from workflows.orchestration import Steps
from workflows.responses import InvalidInput
from workflows.retries import FORWARD, STORAGE, GaveUp

blueprint = region.Blueprint()

NIGHTLY_ID = "nightly"
QUEUE = "deliveries"
MOST_PRODUCTS = 500


@blueprint.timer_trigger(arg_name="timer", schedule="0 0 2 * * *", run_on_startup=False)
@blueprint.durable_client_input(client_name="client")
async def nightly_timer(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Starts tonight's stock-taking unless one is running or tonight's is done, or another region works."""
    if not (await region.permit()).allowed:
        return
    products = [name.strip() for name in settings.text("NIGHTLY_PRODUCTS").split(",") if name.strip()]
    if not products:
        logging.info("No stock-taking: NIGHTLY_PRODUCTS names no products.")
        return
    tonight = {"date": datetime.now(timezone.utc).date().isoformat(), "products": products}
    started = await start_tonight(client, tonight)
    logging.info("Stock-taking of %s: %s", tonight["date"], "started" if started else "already there")


async def start_tonight(client: df.DurableOrchestrationClient, tonight: dict[str, Any]) -> bool:
    """Starts the one stock-taking; False when one is running, or when this date's has completed."""
    last = await starters.look_up(client, NIGHTLY_ID)
    if last and isinstance(last.output, dict) and last.output.get("date") == tonight["date"]:
        return False
    return await starters.start_single(client, "nightly", NIGHTLY_ID, check(tonight))


@blueprint.queue_trigger(arg_name="message", queue_name=QUEUE, connection="AzureWebJobsStorage")
@blueprint.durable_client_input(client_name="client")
async def delivery_queue(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    """Starts one delivery for the message. One that cannot be read raises, and ends in the poison queue.

    Where another region works it is held: returning would delete it.
    """
    await region.hold()
    try:
        data = check_delivery(json.loads(message.get_body()))
    except InvalidInput as error:
        wrong = "; ".join(f"{problem.field} {problem.reason}" for problem in error.problems)
        raise ValueError(f"The message {message.id} of the queue {QUEUE} is no delivery: {wrong}") from error
    await starters.start_once(client, "delivery", f"delivery-{message.id}", data)


def check(data: Any) -> dict[str, Any]:
    """A date and the products to count."""
    checks = Checks()
    wanted = checks.record(data, "body", ("date", "products"))
    day = checks.text(wanted.get("date"), "date")
    try:
        day = date.fromisoformat(day).isoformat() if day else day
    except ValueError:
        checks.wrong("date", "must be a date such as 2026-01-31")
    products = checks.items(wanted.get("products"), "products", MOST_PRODUCTS)
    for number, sku in enumerate(products):
        _check_sku(checks, sku, f"products[{number}]")
    return checks.finish({"date": day, "products": products})


def check_delivery(data: Any) -> dict[str, Any]:
    """A product and how much of it came."""
    checks = Checks()
    wanted = checks.record(data, "body", ("sku", "quantity"))
    _check_sku(checks, wanted.get("sku"), "sku")
    quantity = checks.number(wanted.get("quantity"), "quantity", 1, stock.MOST, whole=True)
    return checks.finish({"sku": wanted.get("sku"), "quantity": quantity})


def _check_sku(checks: Checks, sku: Any, field: str) -> None:
    text = checks.text(sku, field, longest=60)
    if text and not inputs.ID_PATTERN.fullmatch(text):
        checks.wrong(field, inputs.ID_RULE)


@blueprint.orchestration_trigger(context_name="context")
def nightly(context: df.DurableOrchestrationContext) -> Steps:
    """Counts every product, keeps the list as a blob, tells the warehouse."""
    request: Any = context.get_input()
    counts = {}
    for number, sku in enumerate(request["products"]):
        context.set_custom_status({"percent": 100 * number // len(request["products"]), "product": sku})
        counts[sku] = yield context.call_entity(df.EntityId(stock.ENTITY, sku), "look", {})
    taking = {"date": request["date"], "counts": counts}
    blob = yield context.call_activity_with_retry("keep_stock_taking", STORAGE, taking)
    message = {
        "key": f"{context.instance_id}/stock-taking/{request['date']}",
        "to": "warehouse",
        "subject": f"Stock-taking of {request['date']}",
        "text": f"{len(counts)} products; the list is {blob}.",
    }
    try:
        yield from retries.call_with_backoff(context, "send_notification", message, FORWARD)
    except GaveUp as error:
        context.set_custom_status({"not_told": str(error)})
    return {"date": request["date"], "blob": blob, "counts": counts}


class StockTaking(TypedDict):
    """One night's numbers."""

    date: str
    counts: dict[str, Any]


@blueprint.activity_trigger(input_name="taking")
def keep_stock_taking(taking: StockTaking) -> str:
    """Writes the night's list under its date; written again, it is the same list."""
    name = f"nightly/{taking['date']}.json"
    blobs.container().put(name, json.dumps(taking, indent=2).encode())
    return name


@blueprint.orchestration_trigger(context_name="context")
def delivery(context: df.DurableOrchestrationContext) -> Steps:
    """Adds what was delivered to the stock, once under this instance's key."""
    request: Any = context.get_input()
    given = {"key": f"{context.instance_id}/delivery", "quantity": request["quantity"]}
    return (yield context.call_entity(df.EntityId(stock.ENTITY, request["sku"]), "deliver", given))
