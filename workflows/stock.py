"""The stock of one product as a durable entity: reserved, released and shipped by key, so that twice is once.

PUT /api/stock/tea {"quantity": 100}      sets what is on hand
GET /api/stock/tea                        {"on_hand": 100, "reserved": 2, "available": 98}

A reservation's key is the order's instance id and step. A key that was released or shipped is remembered: a message
that arrives late cannot take goods again. An order that runs again from its start says so by another `run`; it may
reserve anew what its earlier run released, and finds shipped what that run shipped.
"""

from typing import Any

import azure.durable_functions as df
import azure.functions as func

from workflows import inputs, region, responses, starters
from workflows.inputs import Checks
from workflows.responses import NotFound

blueprint = region.Blueprint()

ENTITY = "stock"
SETTLED_KEPT = 1000
MOST = 1_000_000_000


@blueprint.route(route="stock/{sku}", methods=["PUT"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def set_stock(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Sets what is on hand: 202, since the entity takes the message in its turn."""
    sku = inputs.checked_id(req.route_params["sku"], "sku")
    checks = Checks()
    wanted = checks.record(inputs.json_body(req), "body", ("quantity",))
    quantity = checks.number(wanted.get("quantity"), "quantity", 0, MOST, whole=True)
    checks.finish(quantity)
    await starters.signal(client, df.EntityId(ENTITY, sku), "set", {"quantity": quantity})
    return responses.json_response({"sku": sku, "quantity": quantity}, 202)


@blueprint.route(route="stock/{sku}", methods=["GET"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def get_stock(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """What is on hand, reserved and available; 404 for a product that was never stocked."""
    sku = inputs.checked_id(req.route_params["sku"], "sku")
    found = await client.read_entity_state(df.EntityId(ENTITY, sku))
    if not found.entity_exists or not found.entity_state or not found.entity_state["opened"]:
        raise NotFound(f"The product {sku!r} was never stocked.")
    return responses.json_response({"sku": sku, **overview(found.entity_state)})


def overview(state: dict[str, Any]) -> dict[str, int]:
    """The three numbers people ask for."""
    reserved = sum(state["reservations"].values())
    return {"on_hand": state["on_hand"], "reserved": reserved, "available": state["on_hand"] - reserved}


@blueprint.entity_trigger(context_name="context", entity_name=ENTITY)
def stock(context: df.DurableEntityContext) -> None:
    """One operation on one product; every answer is a value, so a refusal is no failure."""
    state = context.get_state(lambda: {"on_hand": 0, "reservations": {}, "settled": {}, "opened": False})
    operation = OPERATIONS.get(str(context.operation_name))
    if operation is None:
        raise ValueError(f"Stock knows {', '.join(sorted(OPERATIONS))}, not {context.operation_name!r}.")
    result = operation(state, context.get_input() or {})
    context.set_state(state)
    context.set_result(result)


def _set(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    state["on_hand"], state["opened"] = given["quantity"], True
    return overview(state)


def _look(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    return overview(state)


def _deliver(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    if given["key"] not in state["settled"]:
        state["on_hand"] += given["quantity"]
        state["opened"] = True
        _settle(state, given["key"], "delivered")
    return overview(state)


def _reserve(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Takes `quantity` aside under `key`; `opening` is what the supplier says of a product never stocked here."""
    if not state["opened"] and given.get("opening") is not None:
        state["on_hand"], state["opened"] = given["opening"], True
    key, quantity = given["key"], given["quantity"]
    if key in state["reservations"]:
        return {"reserved": True, "reason": ""}
    settled = state["settled"].get(key)
    if settled == "shipped":
        return {"reserved": True, "reason": ""}
    if settled is not None and settled == _released(given):
        return {"reserved": False, "reason": "this reservation was released before"}
    available = overview(state)["available"]
    if available < quantity:
        return {"reserved": False, "reason": f"{quantity} wanted, {available} available"}
    state["reservations"][key] = quantity
    state["settled"].pop(key, None)
    return {"reserved": True, "reason": ""}


def _released(given: dict[str, Any]) -> str:
    return f"released {given.get('run', '')}"


def _release(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    released = state["reservations"].pop(given["key"], 0)
    if state["settled"].get(given["key"]) != "shipped":
        _settle(state, given["key"], _released(given))
    return {"released": released}


def _ship(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    shipped = state["reservations"].pop(given["key"], 0)
    state["on_hand"] -= shipped
    if shipped:
        _settle(state, given["key"], "shipped")
    return {"shipped": shipped}


def _settle(state: dict[str, Any], key: str, how: str) -> None:
    """Beyond the limit the oldest are forgotten."""
    state["settled"].pop(key, None)
    state["settled"][key] = how
    for oldest in list(state["settled"])[:-SETTLED_KEPT]:
        del state["settled"][oldest]


OPERATIONS = {
    "set": _set,
    "look": _look,
    "deliver": _deliver,
    "reserve": _reserve,
    "release": _release,
    "ship": _ship,
}
