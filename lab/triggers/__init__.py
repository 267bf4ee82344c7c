"""Triggers beside HTTP and Durable: timer, queue and blob, each a file with the same interface.

A trigger's file has `listeners(functions, context)`, which makes the listeners of all functions of its kind; adding a
trigger is adding a file and a line to `TRIGGERS`. Input and output bindings are in `bindings`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from lab.errors import SettingsError
from lab.triggers import blob, inputs, outputs, queue, timer
from lab.triggers.bindings import BoundWorker, inputs_of, outputs_of
from lab.triggers.context import Listener, TriggerContext, foreign_connection, host_id
from lab.worker import FunctionInfo

__all__ = ["TRIGGERS", "BoundWorker", "Listener", "TriggerContext", "Triggers", "host_id", "notes_of"]

log = logging.getLogger("lab.triggers")
STOP_SECONDS = 5.0  # how long a graceful stop waits for functions
Listeners = Callable[[Sequence[FunctionInfo], TriggerContext], list[Listener]]
TRIGGERS: dict[str, Listeners] = {
    "timerTrigger": timer.listeners,
    "queueTrigger": queue.listeners,
    "blobTrigger": blob.listeners,
}


class Triggers:
    """The listeners of an app's timer, queue and blob functions."""

    def __init__(self, functions: Iterable[FunctionInfo], context: TriggerContext) -> None:
        """Functions whose trigger cannot be used are left out and named in `errors`."""
        self.errors: list[str] = []
        usable: dict[str, list[FunctionInfo]] = {kind: [] for kind in TRIGGERS}
        for function in functions:
            if function.trigger in TRIGGERS and self._check(function, context):
                usable[function.trigger].append(function)
        self.listeners = [one for kind, found in usable.items() for one in TRIGGERS[kind](found, context)]
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()  # set when a listener died: the host would only look alive

    def start(self) -> None:
        """Begins to listen."""
        for listener in self.listeners:
            task = asyncio.create_task(listener.run(), name=listener.name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Takes nothing more, gives what is running `seconds`, and gives back the rest."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*(listener.finish(seconds) for listener in self.listeners))
        self._tasks = []

    def _check(self, function: FunctionInfo, context: TriggerContext) -> bool:
        try:
            TRIGGERS[function.trigger]([function], context)
        except SettingsError as error:
            self.errors.append(f"The '{function.name}' function is in error: {error}")
            return False
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("The listener for the %s failed.", task.get_name(), exc_info=error)
            self.failed.set()


def notes_of(functions: Iterable[FunctionInfo]) -> list[str]:
    """What the person at the terminal should know of triggers and bindings that are not as on Azure here."""
    notes = []
    for function in functions:
        for binding in function.bindings:
            kind, name = str(binding["type"]), foreign_connection(binding)
            if name is not None and (kind in TRIGGERS or kind in outputs.WRITTEN_HERE):
                notes.append(f"{function.name}: the host's own account stands in for the connection {name}.")
        for binding in inputs_of(function):
            if binding["type"] not in inputs.READ_HERE:
                notes.append(f"{function.name}: the input {binding['name']} ({binding['type']}) is empty here.")
        for name, binding in outputs_of(function).items():
            if binding["type"] not in outputs.WRITTEN_HERE:
                notes.append(f"{function.name}: the output {name} ({binding['type']}) is not written here.")
    return list(dict.fromkeys(notes))
