"""What ships: the catalogue of workflows, one line each; every other module here is one of them or serves them all."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Workflow:
    """One workflow that a client can start.

    `name` is the orchestrator's name and the last part of the generic starter's route, `route` the address most
    clients use (below `/api/`), `module` the file in `workflows/` that holds it.
    """

    name: str
    route: str
    pattern: str
    sentence: str
    module: str

    def checker(self) -> Callable[[Any], Any]:
        """The function that turns a request's JSON into the orchestrator's input or raises `InvalidInput`."""
        check: Callable[[Any], Any] = importlib.import_module(f"workflows.{self.module}").check
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
        "order",
        "orders",
        "chaining, compensation",
        "Reserves stock, charges, ships and tells the customer; takes everything back when a step fails for good.",
        "order",
    ),
)


def find(name: str) -> Workflow | None:
    """The workflow of that name, in any letters as the Durable extension matches them, or None."""
    return next((workflow for workflow in CATALOGUE if workflow.name == name.lower()), None)
