"""What a device's entity knows and computes: values in, values out; the time is given."""

from datetime import datetime
from typing import Any

from workflows.orchestration import from_iso

WINDOW = 60


def new() -> dict[str, Any]:
    """A device that has not reported yet."""
    return {"readings": [], "missed": 0, "count": 0, "low": None, "high": None, "heartbeat_seconds": 300}


def set_limits(state: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    """The state with other limits."""
    return {**state, **limits}


def add_reading(state: dict[str, Any], reading: dict[str, Any]) -> dict[str, Any]:
    """The state with the reading in its place in time; one whose id is in the window, or that is older, is ignored."""
    window = state["readings"]
    if any(known["id"] == reading["id"] for known in window):
        return state
    if len(window) == WINDOW and reading["at"] < window[0]["at"]:
        return state
    readings = sorted([*window, reading], key=lambda known: str(known["at"]))
    missed = state["missed"]
    if window and readings[-1] is reading:
        missed += heartbeats_between(state, window[-1]["at"], from_iso(reading["at"]))
    return {**state, "readings": readings[-WINDOW:], "count": state["count"] + 1, "missed": missed}


def heartbeats_between(state: dict[str, Any], last_at: str, now: datetime) -> int:
    """How many heartbeats were due between two moments and did not come; the one at `now` itself is not missed."""
    seconds = (now - from_iso(last_at)).total_seconds()
    return max(0, int(seconds // state["heartbeat_seconds"]) - 1)


def summary(state: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Last value, min, max and mean over the window, and the heartbeats missed in all and since the last reading."""
    values = [reading["value"] for reading in state["readings"]]
    last = state["readings"][-1] if state["readings"] else None
    silent = heartbeats_between(state, last["at"], now) if last else 0
    return {
        "last": last["value"] if last else None,
        "last_at": last["at"] if last else "",
        "min": min(values, default=None),
        "max": max(values, default=None),
        "mean": sum(values) / len(values) if values else None,
        "readings": state["count"],
        "window": len(values),
        "missed_heartbeats": silent,
        "missed_heartbeats_in_all": state["missed"] + silent,
        "low": state["low"],
        "high": state["high"],
    }


def alarm(state: dict[str, Any], reading: dict[str, Any]) -> str:
    """What is alarming about the reading, or nothing."""
    value, low, high = reading["value"], state.get("low"), state.get("high")
    if high is not None and value > high:
        return f"{value} is above {high}"
    if low is not None and value < low:
        return f"{value} is below {low}"
    return ""
