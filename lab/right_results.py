"""What each workflow of the catalogue returns when it ends as it should: one place for all checks."""

from __future__ import annotations

from typing import Any

CITIES = ("Tokyo", "Seattle", "London")
DECLINED = "tok_declined"

# By the way it ends; of an object only the members that do not depend on the request.
RIGHT: dict[str, Any] = {
    "order": {"status": "completed", "customer_told": True, "needs_attention": []},
    "order, card declined": {"status": "payment_failed", "reason": "the card was declined", "needs_attention": []},
    "proposal_approval": {"outcome": "approved"},
    "proposal_approval, withdrawn": {"outcome": "withdrawn"},
    "report": {"status": "written"},
    "report, cancelled": {"status": "cancelled"},
    "monitor": {"status": "met", "told": "sent"},
    "monitor, stopped": {"status": "stopped"},
    "device_watch, stopped": {"status": "stopped"},
    "etl": {"status": "loaded"},
    "nightly": {},
    "delivery": {"reserved": 0},
    "eternal, stopped": {},
}


def right(ending: str, **members: Any) -> dict[str, Any]:
    """The right result of a workflow that ends so, with the members that its request decides. KeyError: no such end."""
    return {**RIGHT[ending], **members}


def greetings(cities: tuple[str, ...] = CITIES) -> list[str]:
    """What hello_cities returns, one after the other or side by side."""
    return [f"Hello {city}!" for city in cities]


def is_right(output: Any, wanted: Any) -> bool:
    """Whether an output is the right one; an object must hold the wanted members, and may hold more."""
    if not isinstance(wanted, dict):
        return bool(output == wanted)
    return isinstance(output, dict) and all(name in output and output[name] == wanted[name] for name in wanted)
