"""What ships: the catalogue of workflows, one line each; every other module here is one of them or serves them all."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Workflow:
    """One workflow that a client can start.

    `name` is the orchestrator's name and the last part of the generic starter's route, `route` the address most
    clients use (below `/api/`), `module` the file in `workflows/` that holds it, `check` its function for inputs.
    """

    name: str
    route: str
    pattern: str
    sentence: str
    module: str
    check: str = "check"

    def checker(self) -> Callable[[Any], Any]:
        """The function that turns a request's JSON into the orchestrator's input or raises `InvalidInput`."""
        check: Callable[[Any], Any] = getattr(importlib.import_module(f"workflows.{self.module}"), self.check)
        return check


CATALOGUE = (
    Workflow(
        "external_event",
        "orchestrators/external_event",
        "external event",
        "Waits for the event named `event` and returns the data it brought.",
        "external_event",
    ),
    Workflow(
        "hello_cities",
        "orchestrators/hello_cities",
        "chaining",
        "Greets cities one after the other.",
        "hello_cities",
    ),
    Workflow(
        "hello_cities_parallel",
        "orchestrators/hello_cities_parallel",
        "fan-out/fan-in",
        "Greets the same cities side by side.",
        "hello_cities",
    ),
    Workflow(
        "order",
        "orders",
        "chaining, compensation",
        "Reserves stock, charges, ships and tells the customer; takes everything back when a step fails for good.",
        "order",
    ),
    Workflow(
        "proposal_approval",
        "proposals",
        "human interaction",
        "Gets a proposal approved by as many managers as its amount asks for, with reminders and escalation.",
        "proposal_approval",
    ),
    Workflow(
        "report",
        "reports",
        "async HTTP API",
        "Writes a long report part by part, with progress, cancel and a link to the result.",
        "report",
    ),
    Workflow(
        "monitor",
        "monitors",
        "monitor",
        "Watches a URL or a named condition until it is met or the time is over, and tells somebody.",
        "monitor",
    ),
    Workflow(
        "device_watch",
        "devices/{id}/watch",
        "entities",
        "Tells somebody about the alarms and the silence of a device whose readings an entity keeps.",
        "device",
    ),
    Workflow(
        "etl",
        "etl",
        "fan-out/fan-in, sub-orchestrations",
        "Cleans a file of any length in parts side by side and keeps good and bad rows.",
        "etl",
    ),
    Workflow(
        "nightly",
        "orchestrators/nightly",
        "timer trigger, singleton",
        "Takes stock every night, never twice at once and once a day.",
        "nightly",
    ),
    Workflow(
        "delivery",
        "orchestrators/delivery",
        "queue trigger",
        "Adds a delivery to the stock, once per queue message.",
        "nightly",
        "check_delivery",
    ),
    Workflow(
        "eternal",
        "orchestrators/eternal",
        "continue-as-new",
        "Gathers events into batches by count or time, for ever.",
        "eternal",
    ),
)


def find(name: str) -> Workflow | None:
    """The workflow of that name, in any letters as the Durable extension matches them, or None."""
    return next((workflow for workflow in CATALOGUE if workflow.name == name.lower()), None)


def table() -> str:
    """The catalogue as the Markdown table that the README shows."""
    rows = [f"| `{w.name}` | `POST /api/{w.route}` | {w.pattern} | {w.sentence} |" for w in CATALOGUE]
    return "\n".join(["| Workflow | Start | Pattern | What it does |", "|---|---|---|---|", *rows])
