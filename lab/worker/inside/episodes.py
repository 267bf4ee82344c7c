"""One episode of an orchestrator: its history in, its actions out, by the SDK's own replay.

A full replay calls the registered function with the JSON that the extension sends. A kept session holds the SDK's
context and executor of one instance alive between episodes (as extended sessions do on .NET) and feeds them only what
is new; `tests/lab/worker/test_episodes.py` proves that both give the same answers.
"""

from __future__ import annotations

import functools
import importlib
import json
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from types import GeneratorType
from typing import Any

from azure.functions._durable_functions import OrchestrationContext

from .failures import FunctionRaised, NoSession, describe
from .invocations import current_invocation
from .signatures import Signature

# What the extension (2.13.7) sends beside the history; the spelling of the last key is the extension's.
PROTOCOL: dict[str, Any] = {
    "upperSchemaVersion": 1,
    "upperSchemaVersionNew": 2,
    "longRunningTimerIntervalDuration": "3.00:00:00",
    "maximumShortTimerDuration": "6.00:00:00",
    "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
}
MARKER = "\n\n$OutOfProcData$:"
ORCHESTRATOR_STARTED = 12
TIMER_FIRED = 11
MAX_SESSIONS = 2000
TIMES_KEPT = 20_000
EXTENSIONS_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})\dZ", re.ASCII)
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def remember_times() -> None:
    """Lets the SDK read each distinct timestamp once, and those of the extension's form without guessing at forms.

    Reading times takes it longer than all the rest of an episode, the events of an episode share theirs, and a replay
    reads all of them again. The same text gives the same (immutable) time.
    """
    try:
        module = importlib.import_module("azure.durable_functions.models.history.HistoryEvent")
    except ImportError:
        return
    parse = getattr(module, "dt_parse", None)
    if parse is not None and not hasattr(parse, "cache_info"):
        module.dt_parse = functools.lru_cache(TIMES_KEPT)(_reader_of_times(parse))  # type: ignore[attr-defined]


def _reader_of_times(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Reads a text of the extension's form by itself, to what `parse` would make of it; all others `parse` reads."""
    utc = parse("2026-01-01T00:00:00.0000000Z").tzinfo

    def read(text: Any) -> Any:
        found = EXTENSIONS_TIME.fullmatch(text) if isinstance(text, str) else None
        try:
            return parse(text) if found is None else datetime(*map(int, found.groups()), tzinfo=utc)  # type: ignore
        except ValueError:
            return parse(text)

    return read


def trigger_of(call: dict[str, Any]) -> dict[str, Any]:
    """The orchestration trigger's value, as the extension builds it."""
    return {
        "history": call["events"],
        "input": call["input"],
        "instanceId": call["instance_id"],
        "isReplaying": False,
        "parentInstanceId": call["parent_instance_id"],
        **PROTOCOL,
    }


class Episodes:
    """Plays episodes, and keeps the orchestrators whose callers asked for that."""

    def __init__(self, functions: dict[str, Signature], max_sessions: int = MAX_SESSIONS) -> None:
        self._functions = functions
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._max_sessions = max_sessions
        if any(function.trigger["type"] == "orchestrationTrigger" for function in functions.values()):
            remember_times()

    def play(self, call: dict[str, Any]) -> dict[str, Any]:
        """The answer to one call (the fields of EpisodeResult). NoSession, FunctionRaised."""
        token = current_invocation.set((call["function"], call["instance_id"]))
        try:
            return self._play(call)
        except (NoSession, FunctionRaised):
            raise
        except Exception as error:
            raise describe(error) from error
        finally:
            current_invocation.reset(token)

    def forget(self, instance_id: str) -> None:
        """Drops a kept orchestrator."""
        self._sessions.pop(instance_id, None)

    def _play(self, call: dict[str, Any]) -> dict[str, Any]:
        session = self._sessions.pop(call["instance_id"], None)  # back in only when the episode went well
        function = self._functions[call["function"]]
        if call["start_index"] == 0:
            if not (call["keep"] and can_be_kept(function.call)):
                return replay(function, call)
            session = Session(function.call, call)
        elif session is None or not session.fits(call):
            raise NoSession(call["instance_id"])
        answer = session.play(call["events"])
        if call["keep"]:
            self._keep(call["instance_id"], session)
        return answer

    def _keep(self, instance_id: str, session: Session) -> None:
        self._sessions[instance_id] = session
        while len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)


def replay(function: Signature, call: dict[str, Any]) -> dict[str, Any]:
    """The answer of a full replay."""
    body = json.dumps(trigger_of(call))
    try:
        state = json.loads(function.call(**{function.trigger["name"]: OrchestrationContext(body)}))
    except Exception as error:
        return {**answer_of(state_in(error), 0), "stack": describe(error.__cause__ or error).stack}
    return answer_of(state, 0)


def state_in(error: Exception) -> dict[str, Any]:
    """The state that an orchestrator's exception carries behind the marker; without one, the exception is raised.

    Split at the first marker as the extension does, so a text that holds the marker itself spoils the state.
    """
    text, marker, state = str(error).partition(MARKER)
    if not marker:
        raise describe(error) from error
    try:
        found, _ = json.JSONDecoder().raw_decode(state)
    except ValueError:
        raise describe(error) from error
    if not isinstance(found, dict):
        raise describe(error) from error
    return found


def answer_of(state: dict[str, Any], actions_before: int) -> dict[str, Any]:
    """An EpisodeResult's fields from the state that the SDK answers with."""
    groups = state.get("actions") or [[]]
    custom_status = state.get("customStatus")
    return {
        "is_done": bool(state.get("isDone")),
        "actions": [action for group in groups for action in group],
        "actions_before": actions_before,
        "output": None if state.get("output") is None else compact(without_metadata(state["output"])),
        "custom_status": None if custom_status is None else compact(without_metadata(custom_status)),
        "error": state.get("error"),
        "cancelled_timers": [],
        "stack": "",
    }


def compact(value: Any) -> str:
    """JSON without blanks, letters as they are, as the extension writes it.

    Half a surrogate pair stays an escape; what is no JSON number (NaN, infinities) becomes a text.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if "NaN" in text or "Infinity" in text:
        value = _without_nan(value)
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if not text.isascii() and LONE_SURROGATE.search(text):
        return json.dumps(value, separators=(",", ":"))
    return text


def without_metadata(value: Any) -> Any:
    """An object without the `$type` and `$id` it begins with, which the extension's serializer takes for its own."""
    if not isinstance(value, dict):
        return value
    kept = dict(value)
    for name in value:
        if name not in ("$type", "$id"):
            break
        del kept[name]
    return kept


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def can_be_kept(call: Callable[..., Any]) -> bool:
    """Whether the SDK at hand has the parts that a session drives."""
    try:
        from azure.durable_functions.models.TaskOrchestrationExecutor import TaskOrchestrationExecutor as Executor
    except ImportError:
        return False
    parts = ("process_event", "set_task_value", "has_execution_completed", "_find_new_events_start_index")
    return hasattr(call, "orchestrator_function") and all(hasattr(Executor, part) for part in parts)


class Played:
    """`IsPlayed` of an event as a full replay of the present episode would see it.

    A replay sets the flag of everything before the present episode; a kept task holds on to this object instead, which
    turns true when the episode is over. While a task takes its event's flag the object counts as true, so that the
    SDK's `event._is_played or …` yields the object itself.
    """

    __slots__ = ("_session", "_episode", "_flag")

    def __init__(self, session: Session, episode: int, flag: bool) -> None:
        self._session = session
        self._episode = episode
        self._flag = flag

    def __bool__(self) -> bool:
        return self._flag or self._session.taking or self._session.episode > self._episode


class Session:
    """One orchestrator, alive between its episodes."""

    def __init__(self, handle: Any, call: dict[str, Any]) -> None:
        from azure.durable_functions.models import DurableOrchestrationContext

        self.execution_id = call["execution_id"]
        self.function = call["function"]
        self.next_index = 0
        self.episode = 0
        self.taking = False
        self._context = DurableOrchestrationContext(**trigger_of(call))
        self._context._input_expected_type = getattr(handle, "_df_input_type", None)
        self._context._set_is_replaying = self._set_is_replaying
        self._executor = _executor_class()(self)
        self._user_code = handle.orchestrator_function
        self._sent = 0  # top-level actions
        self._leaves = 0
        self._timers: dict[int, tuple[int, Any]] = {}  # id of a CreateTimer action -> its leaf position, itself

    def fits(self, call: dict[str, Any]) -> bool:
        """Whether the call goes on exactly where this session stands."""
        place = (call["execution_id"], call["function"], call["start_index"])
        return place == (self.execution_id, self.function, self.next_index)

    def play(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Feeds the new events (at first: all) and says what came of them."""
        if self.next_index == 0:
            new = self._context._histories
        else:
            from azure.durable_functions.models.history import HistoryEvent

            new = [HistoryEvent(**event) for event in events]
            self._context._histories.extend(new)
        first_new = max((i for i, event in enumerate(new) if event.event_type == ORCHESTRATOR_STARTED), default=0)
        self.episode += 1
        for index, event in enumerate(new):
            is_old = index < first_new
            event._is_played = Played(self, self.episode, bool(event._is_played) or is_old)
        if self.next_index == 0:
            self._begin(new, first_new)
        else:
            self._feed(new, first_new)
        self.next_index += len(new)
        return self._answer()

    def _begin(self, events: list[Any], first_new: int) -> None:
        executor = self._executor
        executor.context = self._context
        result = self._user_code(self._context)
        if len(events) < 2:
            raise ValueError("a history begins with OrchestratorStarted and ExecutionStarted")
        executor.current_task.is_played = bool(events[1]._is_played) or first_new > 0
        if isinstance(result, GeneratorType):
            executor.generator = result
            self._feed(events, first_new)
        elif not self._context.will_continue_as_new:
            executor.orchestrator_returned = True
            executor.output = result

    def _feed(self, events: list[Any], first_new: int) -> None:
        executor = self._executor
        executor._new_events_start_index = self.next_index + first_new
        executor._is_processing_new_events = False
        for index, event in enumerate(events):
            if executor.has_execution_completed:
                return
            if index >= first_new:
                executor._is_processing_new_events = True
            executor.process_event(event)

    def take(self, take: Callable[..., None], event: Any, is_success: bool, id_key: str) -> None:
        """Lets a task take its event's outcome; a timer that fired cannot be cancelled any more."""
        if event.event_type == TIMER_FIRED:
            task = self._context.open_tasks.get(event.TimerId)
            self._timers.pop(id(getattr(task, "action_repr", None)), None)
        before = self.taking
        self.taking = True
        try:
            take(event, is_success, id_key)
        finally:
            self.taking = before

    def _set_is_replaying(self, is_replaying: object) -> None:
        self._context._is_replaying = bool(is_replaying)

    def _answer(self) -> dict[str, Any]:
        """What `get_orchestrator_state_str` says, with only those actions that no earlier answer held."""
        from azure.durable_functions.models.utils.df_serialization import df_dumps

        executor, context = self._executor, self._context
        if executor.output is not None:
            try:
                json.dumps(executor.output)
            except Exception as error:
                executor.output = None
                executor.exception = error
        state = self._state()
        stack = "" if executor.exception is None else describe(executor.exception).stack
        if executor.exception is not None and MARKER in str(executor.exception):
            self._sent = 0  # the whole list is part of the spoiled text
            whole = {**state, "actions": [[action.to_json() for action in context._actions[0]]]}
            spoiled = Exception(f"{executor.exception}{MARKER}{df_dumps(whole)}")
            return {**answer_of(state_in(spoiled), 0), "stack": stack}
        before, cancelled = self._sent, self._cancelled()
        new = context._actions[0][before:]
        self._sent += len(new)
        answer = answer_of(json.loads(df_dumps({**state, "actions": [[action.to_json() for action in new]]})), before)
        self._watch(new)
        return {**answer, "cancelled_timers": cancelled, "stack": stack}

    def _state(self) -> dict[str, Any]:
        executor = self._executor
        state: dict[str, Any] = {"isDone": executor.orchestration_invocation_succeeded}
        if executor.output is not None:
            state["output"] = executor.output
        if executor.exception is not None:
            state["error"] = str(executor.exception) or str(type(executor.exception))
        if self._context.custom_status:
            state["customStatus"] = self._context.custom_status
        return state

    def _cancelled(self) -> list[int]:
        cancelled = [(key, position) for key, (position, action) in self._timers.items() if action.is_cancelled]
        for key, _ in cancelled:
            del self._timers[key]
        return sorted(position for _, position in cancelled)

    def _watch(self, actions: list[Any]) -> None:
        for action in actions:
            compound = getattr(action, "compound_tasks", None)
            if compound is not None:
                self._watch(compound)
                continue
            if getattr(action, "is_cancelled", None) is False:
                self._timers[id(action)] = (self._leaves, action)
            self._leaves += 1


@functools.lru_cache(1)
def _executor_class() -> Any:
    """The SDK's executor, which tells its session when a task takes an event's outcome."""
    from azure.durable_functions.models.TaskOrchestrationExecutor import TaskOrchestrationExecutor

    class Executor(TaskOrchestrationExecutor):  # type: ignore[misc]
        def __init__(self, session: Session) -> None:
            super().__init__()
            self._session = session

        def set_task_value(self, event: Any, is_success: bool, id_key: str) -> None:
            self._session.take(super().set_task_value, event, is_success, id_key)

    return Executor
