"""What the code of an instance awaits: its history is replayed by the Functions SDK with the app's own orchestrator.

The app is loaded as the language worker loads it, from `function_app.py` in its folder, and only its orchestrators
are used. A replay runs the orchestrator over what the history holds; it calls no activity and writes nothing.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from recovery.awaits import AllOf, AnyOf, Awaited, Kind, Leaf
from recovery.errors import AppNotLoadable
from recovery.facts import Facts
from taskhub import messages as m
from taskhub.messages import Event

APP_FILE = "function_app.py"
HTTP_ACTIVITY = "BuiltIn::HttpActivity"
# What extension 2.13.7 sends beside the history.
_PROTOCOL: dict[str, Any] = {
    "upperSchemaVersion": 1,
    "upperSchemaVersionNew": 2,
    "longRunningTimerIntervalDuration": "3.00:00:00",
    "maximumShortTimerDuration": "6.00:00:00",
    "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
}
_SCHEDULED_AS: dict[str, int] = {"activity": m.TASK_SCHEDULED, "timer": m.TIMER_CREATED, "child": m.SUB_CREATED}


@dataclass(frozen=True)
class Command:
    """What the code asked for under a number: enough to send it again."""

    kind: Kind
    name: str
    input: str | None  # as the message's Input


@dataclass(frozen=True)
class Replayed:
    """The end of a replay: what is awaited (None: the code has nothing left to await), and what it asked for."""

    tree: Awaited | None
    commands: dict[int, Command] = field(default_factory=dict)
    contradiction: str = ""  # how code and history differ
    ends: bool = False  # the code returned, failed or continued as new: only the commit of that is missing
    issued: int = 0  # how many numbers the code gave out
    custom_status: Any = None  # as the code has set it last


class App:
    """The orchestrators of a function app, by name in lower case."""

    def __init__(self, orchestrators: dict[str, Callable[..., Any]], activities: set[str]) -> None:
        self.orchestrators = orchestrators
        self.activities = activities

    def replay(self, facts: Facts) -> Replayed | None:
        """Replays an open history; None when the app has no such orchestrator or it cannot be replayed."""
        start = facts.start_event
        name = str((start or {}).get("Name") or "").lower()
        if start is None or name not in self.orchestrators or facts.instance.missing_blobs:
            return None
        return replay(self.orchestrators[name], facts)


def load_app(folder: Path) -> App:
    """Loads an app's orchestrators. AppNotLoadable says what is wrong."""
    file = folder / APP_FILE
    if not file.is_file():
        raise AppNotLoadable(f"There is no {APP_FILE} in {folder}. Name the app's folder with --app.")
    place = str(folder.resolve())
    sys.path[:] = [place, *(other for other in sys.path if other != place)]
    sys.modules.pop("function_app", None)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module("function_app")
        return _index(module)
    except AppNotLoadable:
        raise
    except Exception as error:  # whatever the app's own code raises
        raise AppNotLoadable(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error


def _index(module: Any) -> App:
    orchestrators: dict[str, Callable[..., Any]] = {}
    activities: set[str] = set()
    for function in _functions(module):
        trigger = function.get_trigger().get_dict_repr()
        if trigger.get("type") == "orchestrationTrigger":
            name = str(trigger.get("orchestration") or function.get_function_name())
            orchestrators[name.lower()] = function.get_user_function()
        elif trigger.get("type") == "activityTrigger":
            activities.add(str(trigger.get("activity") or function.get_function_name()).lower())
    if not orchestrators:
        raise AppNotLoadable(f"{module.__file__} has no orchestrators.")
    return App(orchestrators, activities)


def _functions(module: Any) -> list[Any]:
    from azure.functions import FunctionRegister

    apps = {id(value): value for value in vars(module).values() if isinstance(value, FunctionRegister)}
    if len(apps) != 1:
        raise AppNotLoadable(f"{module.__file__} holds {len(apps)} function apps at top level; it must be one.")
    functions: list[Any] = next(iter(apps.values())).get_functions()
    return functions


def replay(orchestrator: Callable[..., Any], facts: Facts) -> Replayed | None:
    """Replays one open history with an orchestrator as the app registered it."""
    from azure.durable_functions.models.TaskOrchestrationExecutor import TaskOrchestrationExecutor

    body = _trigger(facts)
    if body is None:
        return None
    executor = TaskOrchestrationExecutor()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = _watched_context().from_json(json.dumps(body))
            context._input_expected_type = getattr(orchestrator, "_df_input_type", None)
            executor.execute(context, context.histories, getattr(orchestrator, "orchestrator_function", orchestrator))
    except Exception as error:
        # The SDK raises the orchestrator's own failure with its state in the text; only then has it an exception.
        if executor.exception is None:
            return Replayed(None, contradiction=f"the replay fails: {type(error).__name__}: {error}"[:300])
    return _result(facts, executor, context)


@lru_cache(maxsize=1)
def _watched_context() -> Any:
    """The SDK's context, which also notes the task that each number was given to.

    The actions alone do not tell: one with retries takes further numbers while the run goes on.
    """
    from azure.durable_functions.models.DurableOrchestrationContext import DurableOrchestrationContext
    from azure.durable_functions.models.Task import AtomicTask

    class Watched(DurableOrchestrationContext):  # type: ignore[misc]
        def __init__(self, *args: Any, **named: Any) -> None:
            self.numbered: dict[int, Any] = {}
            super().__init__(*args, **named)

        def _add_to_open_tasks(self, task: Any) -> None:
            super()._add_to_open_tasks(task)
            if isinstance(task, AtomicTask) and isinstance(task.id, int):
                self.numbered.setdefault(task.id, task)

    return Watched


def _trigger(facts: Facts) -> dict[str, Any] | None:
    events = _with_both_markers(facts.events)
    start = facts.start_event
    if start is None:
        return None
    parent = facts.parent
    return {
        "history": [_as_sent(event) for event in events],
        "input": _json(start.get("Input")),
        "instanceId": facts.id,
        "isReplaying": False,
        "parentInstanceId": parent["InstanceId"] if parent else None,
        **_PROTOCOL,
    }


def _with_both_markers(events: list[Event]) -> list[Event]:
    """The SDK expects OrchestratorStarted and ExecutionStarted in front, which every written history has."""
    if events and events[0]["EventType"] == m.ORCHESTRATOR_STARTED:
        return events
    first = {"EventType": m.ORCHESTRATOR_STARTED, "EventId": -1, "IsPlayed": False, "Timestamp": events[0]["Timestamp"]}
    return [first, *events]


def _as_sent(event: Event) -> Event:
    return {name: value for name, value in event.items() if name != "ParentTraceContext"}


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _result(facts: Facts, executor: Any, context: Any) -> Replayed:
    issued = int(context._sequence_number)
    commands = dict(_commands(context.numbered))
    ended = bool(executor.orchestrator_returned or executor.exception is not None or context.will_continue_as_new)
    contradiction = _contradiction(facts, issued, commands)
    if ended:
        return Replayed(Leaf("command"), commands, contradiction, ends=True, issued=issued)
    tree = _tree(facts, executor.current_task)
    return Replayed(tree, commands, contradiction, issued=issued, custom_status=context.custom_status)


def _contradiction(facts: Facts, issued: int, commands: dict[int, Command]) -> str:
    for (kind, number), event in facts.scheduled.items():
        if number >= issued:
            return (
                f"history scheduled {m.EVENT_NAMES[kind]} number {number}, the code has only asked for {issued} things"
            )
        command = commands.get(number)
        if command is not None and _SCHEDULED_AS.get(command.kind) != kind:
            return f"number {number} is a {m.EVENT_NAMES[kind]} in the history and a {command.kind} in the code"
        name = str(event.get("Name") or "")
        if command is not None and command.kind == "activity" and command.name.lower() != name.lower():
            return f"number {number} is the activity {name} in the history and {command.name} in the code"
    return ""


_ACTIONS: dict[str, Kind] = {
    "CallActivityAction": "activity",
    "CallHttpAction": "activity",
    "CallSubOrchestratorAction": "child",
    "CallEntityAction": "call",
    "SignalEntityAction": "call",
    "CreateTimerAction": "timer",
}
_RETRIES: dict[str, Kind] = {"CallActivityWithRetryAction": "activity", "CallSubOrchestratorWithRetryAction": "child"}


def _commands(numbered: dict[int, Any]) -> Iterator[tuple[int, Command]]:
    """(number, command) of everything that the code asked for and that has a number."""
    for number, task in sorted(numbered.items()):
        action = task.action_repr
        kind = type(action).__name__
        if kind in _ACTIONS:
            yield number, _command(action, _ACTIONS[kind])
        elif kind in _RETRIES:
            yield number, _command(action, _RETRIES[kind])
        elif kind == "NoOpAction":  # of an action with retries: a pause, or another attempt
            tried = getattr(task.parent, "actions", None)
            tried = tried[0] if isinstance(tried, list) else tried
            if type(tried).__name__ in _RETRIES and "timer" not in str(action.metadata).lower():
                yield number, _command(tried, _RETRIES[type(tried).__name__])
            else:
                yield number, Command("timer", "", None)


def _command(action: Any, kind: Kind) -> Command:
    if type(action).__name__ == "CallHttpAction":
        return Command(kind, HTTP_ACTIVITY, _compact([_json(json.dumps(action.to_json()["httpRequest"]))]))
    name = str(getattr(action, "function_name", "") or getattr(action, "instance_id", ""))
    given = getattr(action, "input_", None) if hasattr(action, "input_") else getattr(action, "_input", None)
    if kind == "activity":
        return Command(kind, name, _compact([given]))
    return Command(kind, name, None if given is None else json.dumps(given, ensure_ascii=False))


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tree(facts: Facts, task: Any) -> Awaited | None:
    """The awaited task of the SDK as a tree of what is still missing of it."""
    from azure.durable_functions.models.Task import CompoundTask, WhenAnyTask

    if isinstance(task, CompoundTask):
        parts = tuple(
            part for child in task.children if child in task.pending_tasks
            for part in [_tree(facts, child)] if part is not None
        )  # fmt: skip
        grown = tuple(
            part for child in task.pending_tasks if child not in task.children
            for part in [_tree(facts, child)] if part is not None
        )  # fmt: skip
        return AnyOf(parts + grown) if isinstance(task, WhenAnyTask) else AllOf(parts + grown)
    return _leaf(facts, task)


def _leaf(facts: Facts, task: Any) -> Leaf | None:
    if task is None:
        return None
    kind = type(getattr(task, "action_repr", None)).__name__
    if kind == "WaitForExternalEventAction":
        return Leaf("event", name=str(task.id))
    if not isinstance(task.id, int):
        return None
    for scheduled, number in facts.scheduled:  # what history knows is certain, also for retries
        if number == task.id:
            known = next(name for name, code in _SCHEDULED_AS.items() if code == scheduled)
            return Leaf(known, number, str(facts.scheduled[scheduled, number].get("Name") or ""))  # type: ignore[arg-type]
    action = task.action_repr
    name = str(getattr(action, "function_name", "") or getattr(action, "instance_id", "") or "")
    return Leaf(_ACTIONS.get(kind, "activity"), task.id, name)
