"""Random orchestrator programs: a list of steps that one orchestrator of the app interprets, and what is right of them.

A step is a JSON object: `do` is its kind, `k` its label, unique within its program. The idempotency key of whatever it
does is made of the labels on the way to it, so a step has the same key however often and wherever it runs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Step = dict[str, Any]
ALWAYS = 99  # failures


@dataclass(frozen=True)
class Raise:
    """One event that a client raises, seconds after its start was accepted.

    With `when` the client waits until the custom status has come to this number: what arrives earlier than an eternal
    orchestration asks for it is dropped when the generation ends, without any failure.
    """

    after: float
    name: str
    data: Any
    to: str = ""  # ending of the id of a sub-orchestration
    when: int = 0


# drawing


def draw(rng: random.Random, entities: Sequence[str]) -> tuple[dict[str, Any], tuple[Raise, ...]]:
    """A program's input, and the events that it needs and may get."""
    drawing = _Drawing(rng, entities, is_eternal=rng.random() < 0.3)
    steps = drawing.steps(rng.randint(1, 7), "", 0)
    if rng.random() < 0.05:
        steps.append({"do": "throw", "k": "end"})
    if rng.random() < 0.1:
        drawing.raised.append(Raise(round(rng.uniform(0, 6), 2), "nobody", {"event": len(drawing.raised)}))
    return {"steps": steps}, tuple(drawing.raised)


class _Drawing:
    def __init__(self, rng: random.Random, entities: Sequence[str], is_eternal: bool) -> None:
        self.rng = rng
        self.entities = entities
        self.is_eternal = is_eternal
        self.raised: list[Raise] = []
        self.status = 0

    def steps(self, count: int, to: str, depth: int, is_reachable: bool = True) -> list[Step]:
        """`is_reachable`: somebody outside knows the id, and the instance does not begin anew."""
        return [self._step(k, to, depth, is_reachable) for k in range(count)]

    def _step(self, k: int, to: str, depth: int, is_reachable: bool) -> Step:
        rng = self.rng
        kinds = ["act", "act", "fan", "timer", "hurry", "retry", "call", "signal", "signal"]
        if is_reachable:
            kinds += ["wait", "wait", "race", "gather"]
        if depth == 0 and self.is_eternal:
            kinds += ["again"] * 3
        if depth < 2:
            kinds += ["child", "child", "children"]
        do = rng.choice(kinds)
        step: Step = {"do": do, "k": k}
        if do in ("wait", "race", "gather"):
            return self._waits(step, to, depth)
        if do in ("act", "timer"):
            step["seconds"] = round(rng.choice((0.0, 0.3, rng.uniform(0.1, 6))), 2)
        elif do == "fan":
            step["seconds"] = [round(rng.uniform(0, 2), 2) for _ in range(rng.randint(2, 5))]
        elif do == "hurry":
            step |= {"seconds": round(rng.uniform(0.1, 3), 2), "limit": round(rng.uniform(0.1, 3), 2)}
        elif do == "retry":
            step |= {"failures": rng.choice((0, 1, 2, ALWAYS)), "attempts": 4}
        elif do in ("call", "signal"):
            step["entity"] = rng.choice(self.entities)
        elif do == "child":
            step |= self._child(k, to, depth, is_reachable)
        elif do == "children":
            step["parts"] = [self._child(f"{k}.{n}", to, depth, is_reachable) for n in range(2)]
        return step

    def _child(self, label: object, to: str, depth: int, is_reachable: bool) -> Step:
        rng = self.rng
        named, trips = rng.random() < 0.6, rng.choice((0, 0, 0, 1, 2))
        steps = self.steps(rng.randint(1, 3), f"{to}-c{label}", depth + 1, is_reachable and named and not trips)
        if trips:
            steps.append({"do": "trip", "k": "trip", "failures": trips})
        return {"label": str(label), "named": named, "attempts": trips + 1, "steps": steps}

    def _waits(self, step: Step, to: str, depth: int) -> Step:
        """A wait for one event, or for several of one name, each name asked for once.

        The SDK keeps an event that comes before its wait for every later wait of that name. So of several with one
        name none may come too early, and clients wait for the status that says that they are expected.
        """
        rng, do = self.rng, step["do"]
        step["name"] = f"{do}-{step['k']}"
        times = 1
        if do == "race":
            step["limit"] = round(rng.uniform(0.5, 8), 2)
            times = int(rng.random() < 0.6)
        elif do == "gather":
            times = step["times"] = rng.randint(2, 3)
        when = 0
        if do == "gather" or (self.is_eternal and depth == 0):
            when = step["status"] = self.status = self.status + 1
        for _ in range(times):
            after = round(rng.uniform(0, 10), 2)
            self.raised.append(Raise(after, step["name"], {"event": len(self.raised)}, to, when))
        return step


def simpler(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The program with one step less, at any depth."""
    for steps in _shorter(given["steps"]):
        yield {**given, "steps": steps}


def _shorter(steps: list[Step]) -> Iterator[list[Step]]:
    for index, step in enumerate(steps):
        if len(steps) > 1:
            yield steps[:index] + steps[index + 1 :]
        if step["do"] == "child":
            for fewer in _shorter(step["steps"]):
                yield [*steps[:index], {**step, "steps": fewer}, *steps[index + 1 :]]


def still_wanted(given: dict[str, Any], events: tuple[Raise, ...]) -> tuple[Raise, ...]:
    """The events whose names a program still asks for."""
    names = set(_names(given["steps"]))
    return tuple(event for event in events if event.name in names)


def _names(steps: list[Step]) -> Iterator[str]:
    for step in steps:
        if "name" in step:
            yield str(step["name"])
        for part in [step, *step.get("parts", [])]:
            if part is not step or step["do"] == "child":
                yield from _names(part["steps"])


# what is right


@dataclass
class Truth:
    """What must have come of a program, found while its result is compared with its steps."""

    wrong: list[str] = field(default_factory=list)
    must: set[str] = field(default_factory=set)  # effects
    asked: list[tuple[str, str]] = field(default_factory=list)  # (entity, key): done at least once
    forgotten: set[str] = field(default_factory=set)  # keys of operations of earlier generations: on record nowhere
    used: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (ending of the id, name, data)

    def look(self, steps: list[Step], base: str, to: str, result: Any) -> None:
        """Compares a list of results with the steps that gave them."""
        ends = [step for step in steps if step["do"] not in _WITHOUT_RESULT]
        if not isinstance(result, list) or len(result) != len(ends):
            self.wrong.append(f"{base}: {result!r} for {len(ends)} steps")
            return
        values = iter(result)
        for step in steps:
            if step["do"] in _WITHOUT_RESULT:
                self._silent(step, f"{base}/{step['k']}")
            else:
                getattr(self, f"_{step['do']}")(step, f"{base}/{step['k']}", to, next(values))
            if step["do"] == "again":
                self.forgotten.update(key for _, key in self.asked)

    def _silent(self, step: Step, key: str) -> None:
        if step["do"] == "trip":
            self.must.add(key)

    def _expect(self, is_right: bool, key: str, got: Any) -> None:
        if not is_right:
            self.wrong.append(f"{key}: {got!r}")

    def _act(self, step: Step, key: str, to: str, got: Any) -> None:
        self.must.add(key)
        self._expect(_did(got) == key, key, got)

    def _fan(self, step: Step, key: str, to: str, got: Any) -> None:
        keys = [f"{key}.{n}" for n in range(len(step["seconds"]))]
        self.must.update(keys)
        self._expect(isinstance(got, list) and [_did(one) for one in got] == keys, key, got)

    def _timer(self, step: Step, key: str, to: str, got: Any) -> None:
        self._expect(got == "slept", key, got)

    def _hurry(self, step: Step, key: str, to: str, got: Any) -> None:
        self.must.add(key)
        self._expect(got == "late" or _did(got) == key, key, got)

    def _retry(self, step: Step, key: str, to: str, got: Any) -> None:
        if step["failures"] >= step["attempts"]:
            self._expect(got == "gave up", key, got)
            return
        self.must.add(key)
        self._expect(_did(got) == key, key, got)

    def _wait(self, step: Step, key: str, to: str, got: Any) -> None:
        self.used[to, step["name"], str(got)] += 1

    def _gather(self, step: Step, key: str, to: str, got: Any) -> None:
        self._expect(isinstance(got, list) and len(got) == step["times"], key, got)
        self.used.update((to, step["name"], str(one)) for one in got)

    def _race(self, step: Step, key: str, to: str, got: Any) -> None:
        if got != "late":
            self.used[to, step["name"], str(got)] += 1

    def _call(self, step: Step, key: str, to: str, got: Any) -> None:
        self.asked.append((step["entity"], key))
        self._expect(got == {"added": key}, key, got)

    def _signal(self, step: Step, key: str, to: str, got: Any) -> None:
        self.asked.append((step["entity"], key))

    def _child(self, step: Step, key: str, to: str, got: Any) -> None:
        self.look(step["steps"], key, f"{to}-c{step['label']}", got)

    def _children(self, step: Step, key: str, to: str, got: Any) -> None:
        if not isinstance(got, list) or len(got) != len(step["parts"]):
            self._expect(False, key, got)
            return
        for part, one in zip(step["parts"], got, strict=True):
            self._child(part, f"{key}.{part['label']}", to, one)


_WITHOUT_RESULT = ("again", "trip", "throw")


def _did(got: Any) -> str | None:
    return got.get("did") if isinstance(got, dict) else None
