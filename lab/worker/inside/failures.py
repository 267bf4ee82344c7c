"""The ways a call into the worker can fail, as both sides of the boundary tell them apart."""

from __future__ import annotations

import traceback
from types import TracebackType


class LoadFailed(Exception):
    """The app cannot be loaded; `details` is the app's own traceback, empty when there is none."""

    def __init__(self, text: str, details: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.details = details


class FunctionRaised(Exception):
    """A function raised: `text` is "Type: message", `stack` its traceback."""

    def __init__(self, text: str, stack: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.stack = stack


class NoSession(Exception):
    """The orchestrator asked for is not held here."""


def describe(error: BaseException) -> FunctionRaised:
    """What the worker reports of an exception: its type and message, and its traceback from the app's code on."""
    return FunctionRaised(f"{type(error).__name__}: {error}", "".join(_format(error)))


def _format(error: BaseException, depth: int = 0) -> list[str]:
    lines: list[str] = []
    if error.__cause__ is not None and depth < 10:
        lines = [*_format(error.__cause__, depth + 1), "\nThe above exception was the direct cause:\n\n"]
    return [*lines, *traceback.format_tb(app_frames(error.__traceback__)), f"{type(error).__name__}: {error}\n"]


def app_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the worker's own frames at its top (all of it when it has no others)."""
    first = trace
    while first is not None and first.tb_frame.f_globals.get("__package__") in OWN_PACKAGES:
        first = first.tb_next
    return first or trace


OWN_PACKAGES = {__package__, "importlib", "concurrent.futures"}
