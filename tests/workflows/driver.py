"""Drives the app's orchestrators through the SDK alone: history in, actions out, with real activities and entities.

It knows what a host must know (numbers of tasks, retries, timers, events, children, continue-as-new) and nothing of
storage or HTTP, so a test can spend a year in a millisecond and run every activity twice. Time is the test's.
"""

import json
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import azure.durable_functions as df
from azure.functions._durable_functions import df_loads

import function_app

START = datetime(2026, 1, 5, 8, 0, tzinfo=timezone.utc)
ACTIVITY, ACTIVITY_RETRY, CHILD, CHILD_RETRY, AGAIN, TIMER, WAIT, CALL_ENTITY, _HTTP, SIGNAL, _, ANY, ALL = range(13)
MARKER = "\n\n$OutOfProcData$:"
TERMINAL = ("Completed", "Failed", "Terminated")


def _hear_the_sdk_s_notice() -> None:
    """The SDK says once per process that strict typing is coming; as an error it would fail whichever call is first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        df_loads("null")


_hear_the_sdk_s_notice()


def _index() -> dict[str, dict[str, Any]]:
    app = df.DFApp()
    for part in function_app.PARTS:
        app.register_functions(part.blueprint)
    functions: dict[str, dict[str, Any]] = {"orchestrationTrigger": {}, "activityTrigger": {}, "entityTrigger": {}}
    for function in app.get_functions():
        kind = function.get_trigger().type
        name = function.get_function_name()
        functions.setdefault(kind, {})[name.lower()] = function.get_user_function()
    return functions


FUNCTIONS = _index()


@dataclass(eq=False)
class Leaf:
    """One scheduled action: what it was, and how often it was tried when it carries a retry policy."""

    action: dict[str, Any]
    number: int = -1
    attempt: int = 1
    done: bool = False
    cancelled: bool = False


@dataclass(eq=False)
class Instance:
    """One orchestration and everything a hub would keep of it."""

    id: str
    name: str
    input: str | None
    parent: tuple[str, int] | None = None
    status: str = "Pending"
    output: Any = None
    custom_status: Any = None
    statuses: list[Any] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    inbox: deque[tuple[dict[str, Any], Callable[[], None]]] = field(default_factory=deque)
    buffered: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[Leaf | dict[str, Any]] = field(default_factory=list)
    next_id: int = 0
    leaves: list[Leaf] = field(default_factory=list)
    ids: dict[int, Leaf] = field(default_factory=dict)
    timers: dict[int, datetime] = field(default_factory=dict)
    generations: int = 1
    created: datetime = START

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL


class World:
    """A hub in memory with a clock of its own.

    `replace` gives activities by name another body; `twice` runs each activity and each entity operation a second time
    and takes that answer, as a redelivery after a failover does. `as_azure` delivers events as the real extension does,
    at once, whether or not somebody waits, and hands on at continue-as-new those that it has not seen by then.
    """

    def __init__(
        self,
        replace: dict[str, Callable[[Any], Any]] | None = None,
        twice: bool = False,
        as_azure: bool = False,
    ) -> None:
        self.now = START
        self.replaced = replace or {}
        self.twice = twice
        self.as_azure = as_azure
        self.instances: dict[str, Instance] = {}
        self.entities: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.log: list[tuple[str, Any]] = []
        self.work: deque[Callable[[], None]] = deque()
        self.after_activity: Callable[[str, Any], Any] = lambda name, value: None

    # What a test does

    def start(self, name: str, data: Any = None, instance_id: str | None = None) -> Instance:
        """Starts an orchestration with the input a client's start_new would give it; runs nothing yet."""
        text = None if data is None else json.dumps(data)
        return self._create(instance_id or uuid4().hex, name, text, None)

    def run(self, name: str, data: Any = None, instance_id: str | None = None, until: timedelta | None = None) -> Any:
        """Starts an orchestration, lets everything happen (timers too, up to `until`), answers the instance."""
        instance = self.start(name, data, instance_id)
        self.pass_time(until)
        return self.instances[instance.id]

    def raise_event(self, instance_id: str, name: str, data: Any, by_client: bool = True) -> None:
        """Raises an event as the SDK's client does (encoded twice) or as a raw HTTP request does."""
        text = json.dumps(json.dumps(data)) if by_client else json.dumps(data)
        self._post(self.instances[instance_id], self._event(15, Name=name, Input=text))

    def settle(self) -> None:
        """Lets everything happen that needs no time to pass."""
        while True:
            while self.work:
                self.work.popleft()()
            ready = next((i for i in self.instances.values() if i.inbox and not i.finished), None)
            if ready is not None:
                self._episode(ready)
            elif not self._fire_timer(self.now):
                return

    def pass_time(self, amount: timedelta | None = None) -> None:
        """Lets everything happen, timers included, until `amount` has passed or (None) nothing more can happen."""
        end = None if amount is None else self.now + amount
        self.settle()
        while self._fire_timer(end):
            self.settle()
        self.now = end or self.now

    def _fire_timer(self, end: datetime | None) -> bool:
        """Fires the next timer that is due by `end` (None: however far), moving the clock there; False when none is."""
        due = [(t, n, i) for i in self.instances.values() if not i.finished for n, t in i.timers.items()]
        if not due:
            return False
        moment, number, instance = min(due, key=lambda d: d[:2])
        if end is not None and moment > end:
            return False
        self.now = max(self.now, moment)
        del instance.timers[number]
        leaf = instance.ids.get(number)
        retried = leaf is not None and leaf.action["actionType"] != TIMER
        self._post(
            instance,
            self._event(11, TimerId=number, FireAt=_text(moment)),
            (lambda: self._try_again(instance, leaf)) if retried else (lambda: _done(instance, leaf)),
        )
        return True

    # What a host does

    def _create(self, instance_id: str, name: str, text: str | None, parent: tuple[str, int] | None) -> Instance:
        existing = self.instances.get(instance_id)
        if existing and not existing.finished:
            raise ValueError(f"An Orchestration instance with the status {existing.status} already exists.")
        if name.lower() not in FUNCTIONS["orchestrationTrigger"]:
            raise ValueError(f"The function '{name}' doesn't exist")
        instance = Instance(instance_id, name, text, parent, created=self.now)
        self.instances[instance_id] = instance
        self._begin(instance)
        return instance

    def _begin(self, instance: Instance) -> None:
        instance.history, instance.next_id = [], 0
        instance.leaves, instance.ids, instance.timers = [], {}, {}
        instance.arrivals = []
        started = {"OrchestrationInstance": {"InstanceId": instance.id, "ExecutionId": uuid4().hex}}
        event = self._event(0, ParentInstance=None, Name=instance.name, Version="", Input=instance.input, Tags=None)
        instance.inbox.appendleft((event | started, _nothing))

    def _event(self, kind: int, **fields: Any) -> dict[str, Any]:
        return {"EventType": kind, "EventId": -1, "IsPlayed": False, "Timestamp": _text(self.now), **fields}

    def _post(self, instance: Instance, event: dict[str, Any], on_delivery: Callable[[], None] | None = None) -> None:
        """Puts a message in the instance's queue; what `on_delivery` does happens just before it is played."""
        if event["EventType"] == 15 and not self.as_azure and on_delivery is None:
            instance.buffered.append(event)
            self._deliver_buffered(instance)
        else:
            instance.inbox.append((event, on_delivery or _nothing))

    def _deliver_buffered(self, instance: Instance) -> None:
        """One event per open wait, oldest first; an event nobody waits for stays."""
        for event in list(instance.buffered):
            for leaf in reversed(instance.leaves):
                if not leaf.done and leaf.action.get("externalEventName") == event["Name"]:
                    leaf.done = True
                    instance.buffered.remove(event)
                    instance.inbox.append((event, _nothing))
                    break

    def _episode(self, instance: Instance) -> None:
        for event in instance.history:
            event["IsPlayed"] = True
        instance.history.append(self._event(12))
        instance.history.extend(self._take(instance))
        body = {
            "history": instance.history,
            "input": instance.input,
            "instanceId": instance.id,
            "isReplaying": False,
            "parentInstanceId": instance.parent[0] if instance.parent else None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
        }
        instance.status = "Running"
        handle = FUNCTIONS["orchestrationTrigger"][instance.name.lower()]
        try:
            with warnings.catch_warnings():
                # The SDK warns of an event that comes while nobody waits, which is no error.
                warnings.filterwarnings("ignore", "Potential duplicate Task completion")
                answer = json.loads(handle(json.dumps(body)))
        except Exception as error:
            text, _, rest = str(error).rpartition(MARKER)
            answer = json.loads(rest) if rest and text else {"error": str(error), "actions": [[]]}
        self._apply(instance, answer)

    def _take(self, instance: Instance) -> Iterable[dict[str, Any]]:
        event, on_delivery = instance.inbox.popleft()
        on_delivery()
        if event["EventType"] == 15:
            instance.arrivals.append(event)
        yield event

    def _apply(self, instance: Instance, answer: dict[str, Any]) -> None:
        instance.custom_status = answer.get("customStatus")
        if not instance.statuses or instance.statuses[-1] != instance.custom_status:
            instance.statuses.append(instance.custom_status)
        leaves = list(_flatten(answer["actions"][0] if answer["actions"] else []))
        again = [a for a in leaves if a["actionType"] == AGAIN]
        for leaf, action in zip(instance.leaves, leaves, strict=False):
            if action.get("isCanceled"):
                instance.timers.pop(leaf.number, None)
                leaf.cancelled = True
        if "error" in answer:
            self._finish(instance, "Failed", f"Orchestrator function '{instance.name}' failed: {answer['error']}")
            return
        news = leaves[len(instance.leaves) :]
        for action in news:
            self._schedule(instance, action)
        instance.history.append(self._event(13))
        if news or answer["isDone"]:
            self._extension_keeps_up(instance, answer["actions"][0], ended=bool(answer["isDone"]))
        if again:
            self._continue_as_new(instance, answer["actions"][0], again[0]["input"])
        elif answer["isDone"]:
            self._finish(instance, "Completed", answer.get("output"))
        else:
            self._deliver_buffered(instance)

    def _extension_keeps_up(self, instance: Instance, actions: list[dict[str, Any]], ended: bool) -> None:
        """Code that goes on while the real extension still awaits something would hang there."""
        extension = Extension(actions, instance)
        for arrival in instance.arrivals:
            extension.meets(arrival)
        last = len(actions) if ended else len(actions) - 1
        if extension.position < last:
            raise AssertionError(f"{instance.name} went on, the extension awaits {actions[extension.position]}")

    def _schedule(self, instance: Instance, action: dict[str, Any]) -> None:
        leaf = Leaf(action)
        instance.leaves.append(leaf)
        if action["actionType"] in (WAIT, AGAIN):
            return
        number = instance.next_id
        instance.next_id += 1
        instance.ids[number] = leaf
        leaf.number = number
        self._dispatch(instance, number, leaf)

    def _dispatch(self, instance: Instance, number: int, leaf: Leaf) -> None:
        action = leaf.action
        kind = action["actionType"]
        if kind in (ACTIVITY, ACTIVITY_RETRY):
            execution = id(instance.history)
            self.work.append(lambda: self._run_activity(instance, execution, number, leaf))
        elif kind in (CHILD, CHILD_RETRY):
            child_id = action["instanceId"] or f"{instance.id}:{number}"
            self._create(child_id, action["functionName"], action["input"], (instance.id, number))
        elif kind == TIMER:
            if not action["isCanceled"]:
                instance.timers[number] = _moment(action["fireAt"])
        elif kind in (CALL_ENTITY, SIGNAL):
            self._send_to_entity(instance, number, leaf)

    def _run_activity(self, instance: Instance, execution: int, number: int, leaf: Leaf) -> None:
        name = leaf.action["functionName"]
        try:
            value = self.activity(name, json.loads(leaf.action["input"]))
            done = self._event(5, TaskScheduledId=number, Result=json.dumps(value))
        except Exception as error:
            done = self._failure(6, number, f"Activity function '{name}' failed:  {type(error).__name__}: {error}")
        if instance.finished or id(instance.history) != execution:
            return
        self._completed(instance, leaf, done)

    def activity(self, name: str, data: Any) -> Any:
        """Runs one activity, twice if this world is made so, and counts it."""
        body = self.replaced.get(name) or FUNCTIONS["activityTrigger"][name.lower()]
        for _ in range(2 if self.twice else 1):
            self.calls[name] += 1
            self.log.append((name, data))
            value = body(json.loads(json.dumps(data)))
            self.after_activity(name, value)
        return value

    def _failure(self, kind: int, number: int, reason: str) -> dict[str, Any]:
        return self._event(kind, TaskScheduledId=number, Reason=reason, Details=json.dumps({"Message": reason}))

    def _completed(self, instance: Instance, leaf: Leaf, event: dict[str, Any]) -> None:
        failed = "retryOptions" in leaf.action and event["EventType"] in (6, 9)
        self._post(instance, event, lambda: self._back_off(instance, leaf) if failed else _done(instance, leaf))

    def _back_off(self, instance: Instance, leaf: Leaf) -> None:
        """A timer before the next attempt; the SDK wants one, of no length, after the last attempt too."""
        policy = leaf.action["retryOptions"]
        last = leaf.attempt >= policy["maxNumberOfAttempts"]
        wait = timedelta(milliseconds=0 if last else policy["firstRetryIntervalInMilliseconds"])
        instance.timers[instance.next_id] = self.now + wait
        instance.ids[instance.next_id] = leaf
        instance.next_id += 1

    def _try_again(self, instance: Instance, leaf: Leaf) -> None:
        if leaf.attempt >= leaf.action["retryOptions"]["maxNumberOfAttempts"]:
            _done(instance, leaf)
            return
        leaf.attempt += 1
        number, instance.next_id = instance.next_id, instance.next_id + 1
        instance.ids[number] = leaf
        self._dispatch(instance, number, leaf)

    def _send_to_entity(self, instance: Instance, number: int, leaf: Leaf) -> None:
        action, answer = leaf.action, leaf.action["actionType"] == CALL_ENTITY
        request = str(uuid4())
        sent = json.dumps({"op": action["operation"], "input": json.dumps(action["input"]), "id": request})
        event = self._event(14, InstanceId=action["instanceId"], Name="op", Input=sent)
        instance.history.append(event | {"EventId": number})

        def operate() -> None:
            for _ in range(2 if self.twice else 1):
                result = self.entity(action["instanceId"], action["operation"], action["input"])
                self.after_activity(action["operation"], result)
            if answer and not instance.finished:
                reply = {"result": result["result"]} | ({"exceptionType": "Error"} if result["isError"] else {})
                event = self._event(15, Name=request, Input=json.dumps(reply))
                self._post(instance, event, lambda: _done(instance, leaf))

        self.work.append(operate)

    def entity(self, entity_id: str, operation: str, text: str | None) -> dict[str, Any]:
        """Runs one operation of one entity on its stored state; the input is JSON text, as in an action."""
        _, name, key = entity_id.split("@", 2)
        state = self.entities.get(entity_id)
        one = {"name": operation, "input": None if text is None else json.dumps(text), "isSignal": False}
        body = {"self": {"name": name, "key": key}, "exists": state is not None, "state": state, "batch": [one]}
        answer = json.loads(FUNCTIONS["entityTrigger"][name.lower()](json.dumps(body)))
        if answer["entityExists"]:
            self.entities[entity_id] = answer["entityState"]
        else:
            self.entities.pop(entity_id, None)
        result: dict[str, Any] = answer["results"][0]
        return result

    def state(self, name: str, key: str) -> Any:
        """An entity's state, None when there is none."""
        text = self.entities.get(f"@{name}@{key}")
        return None if text is None else json.loads(text)

    def _nothing_open(self, instance: Instance) -> None:
        """The real extension lets no instance end while a timer is open: it would stay Running until that fires."""
        assert not instance.timers, f"{instance.name} ended with open timers: {instance.timers}"

    def _continue_as_new(self, instance: Instance, actions: list[dict[str, Any]], text: str) -> None:
        self._nothing_open(instance)
        carried = self._carried(instance, actions) if self.as_azure else []
        instance.inbox.extendleft((event, _nothing) for event in reversed(carried))
        instance.input = text
        instance.generations += 1
        self._begin(instance)

    def _carried(self, instance: Instance, actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Events that the extension had not seen when it came to continue-as-new: they go to the next generation."""
        extension = Extension(actions, instance)
        carried = []
        for arrival in instance.arrivals:
            if extension.position < len(actions) - 1:
                extension.meets(arrival)
            elif isinstance(arrival, dict) and "-" not in arrival["Name"]:
                carried.append({**arrival, "IsPlayed": False})
        return carried

    def _finish(self, instance: Instance, status: str, output: Any) -> None:
        if status == "Completed":
            self._nothing_open(instance)
        instance.status, instance.output = status, output
        instance.timers.clear()
        if instance.parent:
            parent, number = self.instances[instance.parent[0]], instance.parent[1]
            if status == "Completed":
                done = self._event(8, TaskScheduledId=number, Result=json.dumps(output))
            else:
                done = self._failure(9, number, str(output))
            if not parent.finished and number in parent.ids:
                self._completed(parent, parent.ids[number], done)


def _nothing() -> None:
    """What most messages need done before they are played."""


def _done(instance: Instance, leaf: Leaf | None) -> None:
    if leaf is not None:
        instance.arrivals.append(leaf)


class Extension:
    """How far the real extension comes with the actions that Python reported, one arrival after the other.

    It begins anew each time, with all actions known. It awaits one top-level action after the other; of a compound it
    sees only the tasks that were new when it was made; a cancelled timer counts as done from the start. So code may go
    on where the extension still waits (it hangs there), and the extension may come to continue-as-new before it has
    seen events that the code has read (it hands them on to the next generation, which reads them again).
    """

    def __init__(self, actions: list[dict[str, Any]], instance: Instance) -> None:
        self._actions = actions
        self._leaves: list[list[Leaf]] = []
        leaves = iter(instance.leaves)
        for action in actions:
            self._leaves.append([next(leaves) for _ in _flatten([action])])
        self._done: set[Leaf] = set()
        self._open: list[Leaf] = []
        self._kept: Counter[str] = Counter()
        self.position = -1
        self._advance()

    def meets(self, arrival: Leaf | dict[str, Any]) -> None:
        """One completion or event comes in."""
        if isinstance(arrival, Leaf):
            self._done.add(arrival)
        else:
            name = arrival["Name"]
            waits = [leaf for leaf in self._open if leaf.action["externalEventName"] == name]
            if waits:
                self._open.remove(waits[-1])
                self._done.add(waits[-1])
            else:
                self._kept[name] += 1
        self._advance()

    def _advance(self) -> None:
        while self.position < len(self._actions) and (self.position < 0 or self._is_satisfied()):
            self.position += 1
            if self.position < len(self._actions):
                self._start(self._leaves[self.position])

    def _start(self, leaves: list[Leaf]) -> None:
        for leaf in leaves:
            name = leaf.action.get("externalEventName", "")
            if leaf.cancelled or leaf.action["actionType"] in (SIGNAL, AGAIN) or self._kept[name]:
                self._kept[name] -= bool(self._kept[name])
                self._done.add(leaf)
            elif leaf.action["actionType"] == WAIT:
                self._open.append(leaf)

    def _is_satisfied(self) -> bool:
        leaves = iter(self._leaves[self.position])
        return _is_satisfied(self._actions[self.position], leaves, self._done)


def _is_satisfied(action: dict[str, Any], leaves: Iterator[Leaf], done: set[Leaf]) -> bool:
    if action["actionType"] not in (ANY, ALL):
        return next(leaves) in done
    parts = [_is_satisfied(part, leaves, done) for part in action["compoundActions"]]
    return not parts or (any(parts) if action["actionType"] == ANY else all(parts))


def _flatten(actions: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for action in actions:
        if action["actionType"] in (ANY, ALL):
            yield from _flatten(action["compoundActions"])
        else:
            yield action


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


class Client(df.DurableOrchestrationClient):
    """The SDK's own client, its three HTTP calls answered by a World instead of the extension."""

    def __init__(self, world: World) -> None:
        base = "http://localhost:7071/runtime/webhooks/durabletask"
        links = {"statusQueryGetUri": f"{base}/instances/INSTANCEID?code=k", "id": "INSTANCEID"}
        links["sendEventPostUri"] = f"{base}/instances/INSTANCEID/raiseEvent/{{eventName}}?code=k"
        urls = {"taskHubName": "h", "creationUrls": {}, "managementUrls": links, "rpcBaseUrl": "http://hub/"}
        super().__init__(json.dumps(urls))
        self.world = world
        self._post_async_request = self._post
        self._get_async_request = self._get

    async def _post(self, url: str, data: Any = None, *more: Any, **named: Any) -> list[Any]:
        path = url.removeprefix("http://hub/").split("?")[0].split("/")
        if path[0] == "orchestrators":
            try:
                self.world._create(path[2], path[1], data, None)
            except ValueError as error:
                return [500, {"Message": str(error)}]
            return [202, {"id": path[2]}]
        if path[0] == "entities":
            operation = url.split("op=")[1].split("&")[0]
            self.world.entity(f"@{path[1].lower()}@{path[2]}", operation, data)
            return [202, None]
        instance = self.world.instances.get(path[1])
        if instance is None or instance.finished:
            return [404 if instance is None else 410, None]
        if path[2] == "raiseEvent":
            self.world._post(instance, self.world._event(15, Name=path[3], Input=json.dumps(data)))
        elif path[2] == "terminate":
            self.world._finish(instance, "Terminated", url.split("reason=")[-1])
        return [202, None]

    async def _get(self, url: str) -> list[Any]:
        path = url.removeprefix("http://hub/").split("?")[0].split("/")
        if path[0] == "entities":
            state = self.world.entities.get(f"@{path[1].lower()}@{path[2]}")
            return [404, ""] if state is None else [200, json.loads(state)]
        instance = self.world.instances.get(path[1])
        if instance is None:
            return [404, ""]
        now = self.world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = {"name": instance.name, "instanceId": instance.id, "runtimeStatus": instance.status}
        fields |= {"input": instance.input, "customStatus": instance.custom_status, "output": instance.output}
        return [200, fields | {"createdTime": now, "lastUpdatedTime": now}]


__all__ = ["Client", "Instance", "World"]
