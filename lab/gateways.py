"""Stands in for the outside world: payment, shipping, notification and a supplier, as one small HTTP service.

`python -m lab.gateways --port 7081 [--state FILE]`, then set PAYMENT_URL, SHIPPING_URL, NOTIFICATION_URL and
INVENTORY_URL to http://localhost:7081/payment, /shipping, /notification and /inventory.

    GET  /world                    everything that happened: charges, refunds, shipments, messages
    PUT  /faults/payment           {"mode": "once" | "always" | "slowly" | "after", "times": 1, "seconds": 30}
    DELETE /faults                 all well again

`once` and `always` answer 503 without doing the work, `after` does the work and then loses the answer, `slowly` waits
first. A request with a known Idempotency-Key gets the first answer again and does nothing. Some words have meaning:
the card `tok_declined` is declined, a parcel to `nowhere@…` cannot be shipped, mail to `refused@…` is refused.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

Handler = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]
SERVICES = ("payment", "shipping", "notification", "inventory")
MODES = ("once", "always", "slowly", "after")
LOST_ANSWER = 504
STOCKED = {"tea": {"on_hand": 1000}, "cup": {"on_hand": 1000}}


class World:
    """What the outside world remembers, in memory or in a file that is written before any answer is given."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.faults: dict[str, dict[str, Any]] = {}
        self.state: dict[str, Any] = {"answers": {}, "void": [], "products": {}}
        self.state |= {"charges": [], "refunds": [], "shipments": [], "cancelled_shipments": [], "messages": []}
        self.requests = 0
        if file and file.exists():
            self.state = json.loads(file.read_text())

    def save(self) -> None:
        """Writes the state whole, so that a kill leaves the old one or the new one."""
        if not self._file:
            return
        handle, temporary = tempfile.mkstemp(dir=self._file.parent)
        with os.fdopen(handle, "w") as file:
            json.dump(self.state, file)
        os.replace(temporary, self._file)

    def fault(self, service: str) -> dict[str, Any]:
        """The fault that meets the next request to this service, used up as it says."""
        fault = self.faults.get(service, {})
        if fault and fault["times"] > 0:
            fault["times"] -= 1
            if fault["times"] == 0:
                del self.faults[service]
        return fault

    def once(self, key: str, data: dict[str, Any], handler: Handler) -> tuple[int, dict[str, Any]]:
        """The work for this key, done if it was not done before, and its answer, the same each time."""
        known = self.state["answers"].get(key)
        if key and known:
            return known[0], known[1]
        status, body = handler(data)
        if key:
            self.state["answers"][key] = [status, body]
        self.save()
        return status, body

    # What each service does

    def charge(self, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Charges the card, unless this key was cancelled before."""
        if data["key"] in self.state["void"]:
            return 409, {"reason": "this payment was cancelled"}
        if data["card"] == "tok_declined":
            return 402, {"reason": "the card was declined"}
        charge = {"charge_id": f"ch_{len(self.state['charges']) + 1}", **data}
        self.state["charges"].append(charge)
        return 201, {"charge_id": charge["charge_id"]}

    def _forbid(self, path: str, key: str) -> None:
        """The key's first answer, `done` perhaps, must not be heard again once it was taken back."""
        self.state["void"].append(key)
        self.state["answers"].pop(f"{path} {key}", None)

    def cancel_charge(self, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Refunds the key's charge if there is one; a charge still on its way is refused from now on."""
        self._forbid("/payment/payments", data["key"])
        charges = [charge for charge in self.state["charges"] if charge["key"] == data["key"]]
        self.state["refunds"] += [{"charge_id": c["charge_id"], "amount": c["amount"]} for c in charges]
        return 200, {"refunded": sum(charge["amount"] for charge in charges)}

    def ship(self, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Books a parcel, unless this key was cancelled before."""
        if data["key"] in self.state["void"]:
            return 409, {"reason": "this shipment was cancelled"}
        if data["to"].startswith("nowhere@"):
            return 422, {"reason": "the address is unknown"}
        shipment = {"tracking_number": f"TRACK-{len(self.state['shipments']) + 1:06d}", **data}
        self.state["shipments"].append(shipment)
        return 201, {"tracking_number": shipment["tracking_number"]}

    def cancel_shipment(self, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Takes the key's parcel back if there is one; one still on its way is refused from now on."""
        self._forbid("/shipping/shipments", data["key"])
        found = [s["tracking_number"] for s in self.state["shipments"] if s["key"] == data["key"]]
        self.state["cancelled_shipments"] += found
        return 200, {"cancelled": found}

    def send(self, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Sends a message."""
        if data["to"].startswith("refused@"):
            return 422, {"reason": "the mailbox does not exist"}
        self.state["messages"].append(data)
        return 202, {"message_id": f"msg_{len(self.state['messages'])}"}


WORLD = web.AppKey("world", World)


def effect(service: str, pick: Callable[[World], Handler]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """An endpoint that does something once per Idempotency-Key, in the way the service's fault allows."""

    async def endpoint(request: web.Request) -> web.Response:
        world = request.app[WORLD]
        world.requests += 1
        fault = world.fault(service)
        data = await request.json()
        if fault.get("mode") in ("once", "always"):
            return web.json_response({"reason": "the service is down"}, status=fault["status"])
        if fault.get("mode") == "slowly":
            await asyncio.sleep(fault["seconds"])
        key = request.headers.get("Idempotency-Key", "")
        status, body = world.once(f"{request.path} {key}" if key else "", data, pick(world))
        if fault.get("mode") == "after":
            return web.json_response({"reason": "the answer was lost"}, status=LOST_ANSWER)
        return web.json_response(body, status=status)

    return endpoint


async def get_product(request: web.Request) -> web.Response:
    """What the supplier has of one product."""
    world = request.app[WORLD]
    fault = world.fault("inventory")
    if fault.get("mode") == "slowly":
        await asyncio.sleep(fault["seconds"])
    elif fault:
        return web.json_response({"reason": "the service is down"}, status=fault["status"])
    product = world.state["products"].get(request.match_info["sku"])
    if product is None:
        return web.json_response({"reason": "the supplier does not know it"}, status=404)
    return web.json_response(product)


async def put_product(request: web.Request) -> web.Response:
    """Makes a product known: {"on_hand": 10}."""
    world = request.app[WORLD]
    given = await request.json()
    if not isinstance(given, dict) or not isinstance(given.get("on_hand"), int):
        return web.json_response({"reason": "on_hand must be a whole number"}, status=400)
    world.state["products"][request.match_info["sku"]] = {"on_hand": given["on_hand"]}
    world.save()
    return web.json_response(world.state["products"][request.match_info["sku"]])


async def get_world(request: web.Request) -> web.Response:
    """Everything that happened, for tests and people to compare."""
    world = request.app[WORLD]
    return web.json_response({**world.state, "faults": world.faults, "requests": world.requests})


async def put_fault(request: web.Request) -> web.Response:
    """Tells one service to fail; 400 with the choices for a fault it does not know."""
    service, given = request.match_info["service"], await request.json()
    if service not in SERVICES or not isinstance(given, dict) or given.get("mode") not in MODES:
        return web.json_response({"reason": f"services: {SERVICES}; modes: {MODES}"}, status=400)
    times = {"always": 0, "slowly": 0}.get(given["mode"], 1)
    fault = {"times": times, "seconds": 30, "status": 503} | given
    request.app[WORLD].faults[service] = fault
    return web.json_response(fault)


async def delete_faults(request: web.Request) -> web.Response:
    """All services well again."""
    request.app[WORLD].faults.clear()
    return web.json_response({})


async def health(request: web.Request) -> web.Response:
    """Whether the service runs."""
    return web.json_response({"status": "ok"})


def create_app(world: World) -> web.Application:
    """The service around one world, for a runner or a test."""
    app = web.Application()
    app[WORLD] = world
    app.add_routes(
        [
            web.post("/payment/payments", effect("payment", lambda w: w.charge)),
            web.post("/payment/payments/cancel", effect("payment", lambda w: w.cancel_charge)),
            web.post("/shipping/shipments", effect("shipping", lambda w: w.ship)),
            web.post("/shipping/shipments/cancel", effect("shipping", lambda w: w.cancel_shipment)),
            web.post("/notification/messages", effect("notification", lambda w: w.send)),
            web.get("/inventory/products/{sku}", get_product),
            web.put("/inventory/products/{sku}", put_product),
            web.get("/world", get_world),
            web.put("/faults/{service}", put_fault),
            web.delete("/faults", delete_faults),
            web.get("/health", health),
        ]
    )
    return app


def settings_for(base: str) -> dict[str, str]:
    """The app settings that send the workflows to a service at this base address."""
    return {f"{service.upper()}_URL": f"{base}/{service}" for service in SERVICES}


def main() -> None:
    """Serves until stopped."""
    parser = argparse.ArgumentParser(prog="python -m lab.gateways", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, default=7081)
    parser.add_argument("--state", type=Path, help="keep the state in this file, over restarts")
    options = parser.parse_args()
    for name, value in settings_for(f"http://localhost:{options.port}").items():
        print(f"{name}={value}")
    world = World(options.state)
    world.state["products"] = {**STOCKED, **world.state["products"]}
    web.run_app(create_app(world), host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
