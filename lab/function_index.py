"""What functions the app has: by trigger, and by the names under which the Durable extension knows them."""

from __future__ import annotations

from collections.abc import Iterable

from lab.worker import FunctionInfo

DURABLE = frozenset({"orchestrationTrigger", "activityTrigger", "entityTrigger"})
RUN_HERE = DURABLE | {"httpTrigger", "timerTrigger", "queueTrigger", "blobTrigger"}


class FunctionIndex:
    """The functions of an app; orchestrator, activity and entity names match in any letters, as in the extension."""

    def __init__(self, functions: Iterable[FunctionInfo]) -> None:
        self.functions = list(functions)
        self.http = self._of("httpTrigger")
        self.orchestrators = self._by_registered_name("orchestrationTrigger")
        self.activities = self._by_registered_name("activityTrigger")
        self.entities = self._by_registered_name("entityTrigger")
        self.has_durable_triggers = bool(self.orchestrators or self.activities or self.entities)
        self.uses_durable = self.has_durable_triggers or any(client_input(function) for function in self.functions)
        self.not_run = [function for function in self.functions if function.trigger not in RUN_HERE]

    def orchestrator(self, name: str) -> FunctionInfo | None:
        """The orchestrator registered under a name."""
        return self.orchestrators.get(name.lower())

    def activity(self, name: str) -> FunctionInfo | None:
        """The activity registered under a name."""
        return self.activities.get(name.lower())

    def entity(self, name: str) -> FunctionInfo | None:
        """The entity function registered under a name."""
        return self.entities.get(name.lower())

    def no_orchestrator(self, name: str) -> str:
        """The extension's text for an orchestrator name that nothing is registered under."""
        return _unknown(name, "orchestrator", self.orchestrators)

    def no_entity(self, name: str) -> str:
        """The extension's text for an entity name that nothing is registered under."""
        return _unknown(name, "entity", self.entities)

    def no_activity(self, name: str) -> str:
        """The extension's text for an activity name that nothing is registered under."""
        return _unknown(name, "activity", self.activities)

    def _of(self, trigger: str) -> list[FunctionInfo]:
        return [function for function in self.functions if function.trigger == trigger]

    def _by_registered_name(self, trigger: str) -> dict[str, FunctionInfo]:
        return {function.registered_name.lower(): function for function in self._of(trigger)}


def client_input(function: FunctionInfo) -> dict[str, object] | None:
    """The durableClient binding of a function, None when it has none."""
    return next((binding for binding in function.bindings if binding["type"] == "durableClient"), None)


def _unknown(name: str, kind: str, known: dict[str, FunctionInfo]) -> str:
    article = "a" if kind[0] not in "aeiou" else "an"
    text = f"The function '{name}' doesn't exist, is disabled, or is not {article} {kind} function. Additional info: "
    if not known:
        return f"{text}No {kind} functions are currently registered!"
    names = ", ".join(f"'{function.registered_name}'" for function in known.values())
    return f"{text}The following are the known {kind} functions: {names}."
