"""Fulfil an order: reserve every line, charge, ship, tell the customer; undo everything when it cannot end well.

POST /api/orders   {"customer": "kim@example.com", "card": "tok_visa",
                    "lines": [{"sku": "tea", "quantity": 2, "unit_price": 450}]}

Prices are whole cents. The output is `{"status": "completed", "tracking_number": ...}`, or `rejected` (nothing was
reserved or charged), `payment_failed` (stock released), `shipping_failed` (refunded, stock released); `needs_attention`
lists what could not be undone. Every effect carries a key of instance id and step, so doing it twice is doing it once.
"""

from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

from workflows import gateways, inputs, region, responses, retries, settings, starters, stock
from workflows.gateways import INVENTORY, PAYMENT, SHIPPING
from workflows.inputs import Checks
from workflows.orchestration import Steps, failure_reason, iso
from workflows.retries import FORWARD, UNDO, GaveUp

blueprint = region.Blueprint()

MOST_LINES = 50
MOST_CENTS = 100_000_000


@blueprint.route(route="orders", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def start_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Starts one order."""
    return await starters.start(req, client, "order")


def check(data: Any) -> dict[str, Any]:
    """An order with at least one line; lines of the same product are added up."""
    checks = Checks()
    order = checks.record(data, "body", ("customer", "card", "currency", "lines"))
    customer = checks.text(order.get("customer"), "customer")
    if "@" not in customer and customer:
        checks.wrong("customer", "must be an e-mail address")
    lines: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(checks.items(order.get("lines"), "lines", MOST_LINES)):
        _add_line(checks, lines, line, f"lines[{number}]")
    return checks.finish(
        {
            "customer": customer,
            "card": checks.text(order.get("card"), "card"),
            "currency": checks.text(order.get("currency"), "currency", default="EUR", longest=3),
            "lines": list(lines.values()),
        }
    )


def _add_line(checks: Checks, lines: dict[str, dict[str, Any]], line: Any, field: str) -> None:
    line = checks.record(line, field, ("sku", "quantity", "unit_price"))
    sku = checks.text(line.get("sku"), f"{field}.sku", longest=60)
    if sku and not inputs.ID_PATTERN.fullmatch(sku):
        checks.wrong(f"{field}.sku", inputs.ID_RULE)
    quantity = checks.number(line.get("quantity"), f"{field}.quantity", 1, 10_000, whole=True)
    price = checks.number(line.get("unit_price"), f"{field}.unit_price", 0, MOST_CENTS, whole=True)
    known = lines.setdefault(sku, {"sku": sku, "quantity": 0, "unit_price": price})
    if known["unit_price"] != price:
        checks.wrong(f"{field}.unit_price", f"differs from an earlier line of {sku!r}")
    known["quantity"] += quantity


@blueprint.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext) -> Steps:
    """The whole order, forwards; each way out undoes what was done before it."""
    request: Any = context.get_input()
    # What tells this run from an earlier one under the same id, whose history was lost with a region.
    request["run"] = iso(context.current_utc_datetime)
    total = sum(line["quantity"] * line["unit_price"] for line in request["lines"])

    _report(context, "reserving stock")
    refusal = yield from _reserve_all(context, request)
    if refusal:
        undone = yield from _undo(context, request, refund=False, cancel_shipment=False)
        return _ended("rejected", refusal, undone)

    # All lines before any charge: a card is never charged for an order that cannot be sent.
    _report(context, "taking payment")
    card = {"currency": request["currency"], "card": request["card"]}
    charge = {"key": _key(context, "payment"), "amount": total, **card}
    paid = yield from _attempt(context, "take_payment", charge)
    if paid["outcome"] != "done":
        undone = yield from _undo(context, request, refund=paid["outcome"] == "unknown", cancel_shipment=False)
        told = yield from _tell(context, request, f"Your payment failed: {paid['reason']}.")
        return _ended("payment_failed", paid["reason"], undone, customer_told=told)

    _report(context, "scheduling shipping")
    parcel = {"key": _key(context, "shipping"), "to": request["customer"], "lines": request["lines"]}
    shipped = yield from _attempt(context, "schedule_shipping", parcel)
    if shipped["outcome"] != "done":
        undone = yield from _undo(context, request, refund=True, cancel_shipment=shipped["outcome"] == "unknown")
        told = yield from _tell(context, request, "We cannot ship your order and refund it.")
        return _ended("shipping_failed", shipped["reason"], undone, customer_told=told)

    told = yield from _hand_over(context, request, f"Your order is on its way: {shipped['tracking_number']}.")
    done = {"tracking_number": shipped["tracking_number"], "charge_id": paid["charge_id"], "total": total}
    return _ended("completed", "", [], customer_told=told, **done)


def _hand_over(context: df.DurableOrchestrationContext, request: dict[str, Any], text: str) -> Steps:
    """The goods leave the stock, the customer is told; the answer is whether that worked."""
    for line in request["lines"]:
        yield context.call_entity(_stock_of(line), "ship", {"key": _reservation(context, line)})
    _report(context, "telling the customer")
    told = yield from _tell(context, request, text)
    _report(context, "done")
    return told


def _report(context: df.DurableOrchestrationContext, step: str) -> None:
    context.set_custom_status({"step": step})


def _ended(status: str, reason: str, undone: list[str], **more: Any) -> dict[str, Any]:
    return {"status": status, "reason": reason, "needs_attention": undone, **more}


def _key(context: df.DurableOrchestrationContext, step: str) -> str:
    return f"{context.instance_id}/{step}"


def _stock_of(line: dict[str, Any]) -> df.EntityId:
    return df.EntityId(stock.ENTITY, line["sku"])


def _reservation(context: df.DurableOrchestrationContext, line: dict[str, Any]) -> str:
    return _key(context, f"stock/{line['sku']}")


def _reserve_all(context: df.DurableOrchestrationContext, request: dict[str, Any]) -> Steps:
    """Reserves line by line; the answer is why one could not be had, or nothing."""
    lines = request["lines"]
    try:
        known = yield from retries.call_with_backoff(
            context, "look_up_products", {"skus": [line["sku"] for line in lines]}, FORWARD
        )
    except GaveUp as error:
        return f"the supplier cannot be asked: {error}"
    for line in lines:
        product = known[line["sku"]]
        if not product["known"]:
            return f"{line['sku']}: {product['reason']}"
        wanted = {"key": _reservation(context, line), "quantity": line["quantity"], "run": request["run"]}
        wanted["opening"] = product["on_hand"]
        try:
            answer = yield context.call_entity(_stock_of(line), "reserve", wanted)
        except Exception as error:
            return f"{line['sku']}: {failure_reason(error)}"
        if not answer["reserved"]:
            return f"{line['sku']}: {answer['reason']}"
    return ""


def _attempt(context: df.DurableOrchestrationContext, activity: str, data: dict[str, Any]) -> Steps:
    """One step forwards: its answer, or `unknown` when it may or may not have happened."""
    try:
        return (yield from retries.call_with_backoff(context, activity, data, FORWARD))
    except GaveUp as error:
        return {"outcome": "unknown", "reason": str(error)}


def _undo(
    context: df.DurableOrchestrationContext, request: dict[str, Any], refund: bool, cancel_shipment: bool
) -> Steps:
    """Takes back, last first; the answer lists what a person has to look at."""
    _report(context, "undoing")
    undone: list[str] = []
    for wanted, activity, step in (
        (cancel_shipment, "cancel_shipment", "shipping"),
        (refund, "cancel_payment", "payment"),
    ):
        if not wanted:
            continue
        try:
            answer = yield from retries.call_with_backoff(context, activity, {"key": _key(context, step)}, UNDO)
            if answer["outcome"] != "done":
                undone.append(f"{activity}: {answer['reason']}")
        except GaveUp as error:
            undone.append(f"{activity}: {error}")
    # Every line, also those never reserved: a reservation that is still under way must find its key settled.
    for line in request["lines"]:
        released = {"key": _reservation(context, line), "run": request["run"]}
        yield context.call_entity(_stock_of(line), "release", released)
    return undone


def _tell(context: df.DurableOrchestrationContext, request: dict[str, Any], text: str) -> Steps:
    """Writes to the customer, once an order; an e-mail that cannot be sent changes nothing about the order."""
    message = {"key": _key(context, "mail"), "to": request["customer"], "subject": "Your order", "text": text}
    try:
        delivery = yield from retries.call_with_backoff(context, "send_notification", message, FORWARD)
    except GaveUp:
        return False
    return delivery["outcome"] != "refused"


class Lookup(TypedDict):
    """Which products to ask for."""

    skus: list[str]


class Charge(TypedDict):
    """What to charge; `amount` in cents."""

    key: str
    amount: int
    currency: str
    card: str


class Parcel(TypedDict):
    """What to ship to whom."""

    key: str
    to: str
    lines: list[dict[str, Any]]


class Keyed(TypedDict):
    """What to take back: whatever was done under this key."""

    key: str


@blueprint.activity_trigger(input_name="lookup")
def look_up_products(lookup: Lookup) -> dict[str, Any]:
    """What the supplier says of each product; without a supplier every product is known. Raises Unavailable."""
    return {sku: _look_up(sku) for sku in lookup["skus"]}


def _look_up(sku: str) -> dict[str, Any]:
    if not settings.text(INVENTORY.setting):
        return {"known": True, "on_hand": None, "reason": ""}
    answer = gateways.call(INVENTORY, "GET", f"/products/{sku}")
    return {"known": answer.ok, "on_hand": answer.body.get("on_hand"), "reason": "" if answer.ok else answer.reason()}


@blueprint.activity_trigger(input_name="charge")
def take_payment(charge: Charge) -> dict[str, Any]:
    """Charges the card once per key: `done` with a charge id, or `refused`. Raises Unavailable."""
    return _effect(gateways.PAYMENT, "/payments", charge["key"], charge)


@blueprint.activity_trigger(input_name="cancelled")
def cancel_payment(cancelled: Keyed) -> dict[str, Any]:
    """Refunds what was charged under the key, and forbids a charge that is still on its way. Raises Unavailable."""
    return _effect(PAYMENT, "/payments/cancel", cancelled["key"] + "/cancel", cancelled)


@blueprint.activity_trigger(input_name="parcel")
def schedule_shipping(parcel: Parcel) -> dict[str, Any]:
    """Books one shipment per key: `done` with a tracking number, or `refused`. Raises Unavailable."""
    return _effect(SHIPPING, "/shipments", parcel["key"], parcel)


@blueprint.activity_trigger(input_name="cancelled")
def cancel_shipment(cancelled: Keyed) -> dict[str, Any]:
    """Cancels what was booked under the key, and forbids a booking that is still on its way. Raises Unavailable."""
    return _effect(SHIPPING, "/shipments/cancel", cancelled["key"] + "/cancel", cancelled)


def _effect(service: gateways.Service, path: str, key: str, data: Any) -> dict[str, Any]:
    """A missing address is an answer, not a failure to repeat: nobody sets it while the order waits."""
    try:
        answer = gateways.call(service, "POST", path, key, data)
    except settings.SettingMissing as error:
        return {"outcome": "refused", "reason": str(error)}
    if not answer.ok:
        return {"outcome": "refused", "reason": answer.reason()}
    return {"outcome": "done", "reason": "", **answer.body}
