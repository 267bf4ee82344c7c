"""Plays the recorded scenarios against a host that runs the app in app/, many at once, and compares every answer.

    python -m tests.conformance.runner --base http://127.0.0.1:7071 [--only TEXT] [--host-json NAME] [--jobs N]

The format of the scenario files is described in README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import difflib
import json
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp
import yarl

from tests.conformance.normal import Normal, change, in_order

FOLDER = Path(__file__).resolve().parent / "scenarios"  # as recorded
DEVIATIONS = FOLDER.parent / "deviations"  # as this project's host answers where that was chosen to be otherwise
HOOK = "/runtime/webhooks/durabletask"
HOST_JSON = "host.json"
COMPARED_HEADERS = ("content-type", "location", "retry-after", "x-ms-continuation-token")
JOBS = 64  # scenarios at the same time: most of them wait
MOST_AGAIN, JOBS_AGAIN = 40, 4  # so many may have looked too early, and are played again with so many at once
AT_ONCE = 16  # requests of one parallel step at the same time
UNTIL_SECONDS = 60.0  # the recordings waited 30; a busy machine may need longer
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=120)
FIRST_PAUSE, LONGEST_PAUSE = 0.03, 0.2  # seconds between two looks
_PLACE = re.compile(r"\{(\w+)([+-]\d+)?\}")

Step = dict[str, Any]
Seen = dict[str, Any]  # an answer in the form in which answers are recorded


@dataclass(frozen=True)
class Scenario:
    """A rule in words, and the conversation that showed it."""

    topic: str
    name: str
    steps: Sequence[Step]
    host_json: str = HOST_JSON
    alone: bool = False  # it looks at, or purges, the whole hub
    may_differ: str | None = None  # why a host may answer otherwise
    deviates: str | None = None  # why this project's host does

    @property
    def id(self) -> str:
        return f"{self.topic} / {self.name}"


@dataclass(frozen=True)
class Answer:
    """What a host answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def parsed(self) -> tuple[str, Any]:
        """The kind of the body, json, text or empty, and its value."""
        if not self.body:
            return "empty", None
        text = self.body.decode("utf-8", "replace")
        try:
            return "json", json.loads(text)
        except ValueError:
            return "text", text

    def part(self, path: str) -> Any:
        """What body.id, body.0.state, header.location or status names; None when there is no such part."""
        first, *rest = path.split(".")
        value = {"status": self.status, "header": self.headers, "body": self.parsed[1]}[first]
        for name in rest:
            try:
                value = value[int(name)] if isinstance(value, list) else value[name]
            except (KeyError, IndexError, TypeError, ValueError):
                return None
        return value


class Unanswered(Exception):
    """A step could not be made, or was not answered as steps are."""


@dataclass
class Outcome:
    """What became of a scenario: what was seen at each step that was recorded."""

    scenario: Scenario
    seen: dict[int, Seen] = field(default_factory=dict)
    seconds: float = 0.0
    earlier: str = ""  # how it differed when it was played beside all others, if that is why it was played again

    def differences(self) -> str:
        """The steps that were answered otherwise than recorded, as a diff; empty when there are none."""
        return "\n".join(self._difference(index, seen) for index, seen in self.seen.items() if self._differs(index))

    def differing(self) -> dict[int, Seen]:
        """What was seen where it is not what was recorded, by the step's number, beginning with 1."""
        return {index + 1: seen for index, seen in self.seen.items() if self._differs(index)}

    def _differs(self, index: int) -> bool:
        return bool(self.scenario.steps[index].get("expect") != self.seen[index])

    def _difference(self, index: int, seen: Seen) -> str:
        step = self.scenario.steps[index]
        title = step.get("request") or f"wait until {step['wait']} is {step.get('for', 'Completed')}"
        lines = difflib.unified_diff(_lines(step.get("expect")), _lines(seen), "recorded", "this host", "", "", 2, "")
        return "\n".join([f"step {index + 1}: {title}", *("  " + line for line in lines)])


def load(folder: Path = FOLDER) -> list[Scenario]:
    """All scenarios."""
    found = []
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        host_json = document.get("host", HOST_JSON)
        found += [
            Scenario(
                path.stem, one["name"], one["steps"], host_json, one.get("alone", False), one.get("may_differ"),
                one.get("deviates"),
            )
            for one in document["scenarios"]
        ]  # fmt: skip
    return found


def expected() -> list[Scenario]:
    """All scenarios as this project's host answers them: as recorded, except for the deliberate deviations."""
    deviations = {scenario.id: scenario for scenario in load(DEVIATIONS)}
    return [deviations.get(scenario.id, scenario) for scenario in load()]


def coverage(folder: Path = FOLDER) -> list[tuple[str, str, int, int]]:
    """Of each topic its name, what it is about, how many scenarios and how many steps it has."""
    found = []
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        scenarios = document["scenarios"]
        found.append((path.stem, document["topic"], len(scenarios), sum(len(one["steps"]) for one in scenarios)))
    return found


async def play_all(
    base: str, scenarios: Iterable[Scenario], jobs: int = JOBS, done: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Plays scenarios against a host: `jobs` at once those that may share the hub, then those that may not.

    Many scenarios look at what is there after a second. On a busy machine some look too early; so a few that differ
    are played again, beside fewer others, and what they see then counts.
    """
    chosen = list(scenarios)
    connector, cookies = aiohttp.TCPConnector(limit=0), aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=cookies, timeout=REQUEST_TIMEOUT) as session:
        outcomes = await _crowd(session, base, [one for one in chosen if not one.alone], jobs)
        differing = [number for number, outcome in enumerate(outcomes) if outcome.differing()]
        if len(differing) <= MOST_AGAIN:
            again = await _crowd(session, base, [outcomes[number].scenario for number in differing], JOBS_AGAIN)
            for number, outcome in zip(differing, again, strict=True):
                outcome.earlier = outcomes[number].differences()
                outcomes[number] = outcome
        outcomes += [await Player(session, base).play(one) for one in chosen if one.alone]
    for outcome in outcomes:
        done(outcome)
    return outcomes


async def _crowd(session: aiohttp.ClientSession, base: str, scenarios: Sequence[Scenario], jobs: int) -> list[Outcome]:
    slots = asyncio.Semaphore(jobs)

    async def one(scenario: Scenario) -> Outcome:
        async with slots:
            return await Player(session, base).play(scenario)

    return list(await asyncio.gather(*(one(scenario) for scenario in scenarios)))


class Player:
    """Plays one scenario: keeps what its steps save, under names that later steps use."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base
        token = "r" + secrets.token_hex(5)[1:]
        self._normal = Normal(base, token)
        self._names = {"run": token, "base": base, "hook": HOOK, "host": base.partition("//")[2]}

    async def play(self, scenario: Scenario) -> Outcome:
        """All steps, one after the other; a step that cannot be made is an answer that differs."""
        outcome, begin = Outcome(scenario), time.monotonic()
        for index, step in enumerate(scenario.steps):
            if "pause" in step:
                await asyncio.sleep(step["pause"])
                continue
            try:
                outcome.seen[index] = await self._step(step)
            except (Unanswered, aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                outcome.seen[index] = {"error": f"{type(error).__name__}: {error}"}
        outcome.seconds = time.monotonic() - begin
        return outcome

    async def _step(self, recorded: Step) -> Seen:
        step = self._filled({name: part for name, part in _as_request(recorded).items() if name != "expect"})
        answer, came = await self._until(step)
        for name, path in recorded.get("save", {}).items():
            if answer.part(path) is not None:
                self._names[name] = answer.part(path)
        seen = self._summary(step, answer)
        return seen if came else {**seen, "error": f"{step['until']} did not come"}

    async def _until(self, step: Step) -> tuple[Answer, bool]:
        """The step's answer, asked for again until it is the awaited one; False: it did not come."""
        end, pause = time.monotonic() + max(step.get("timeout", 0), UNTIL_SECONDS), FIRST_PAUSE
        while True:
            answer = await self._repeated(step)
            if all(answer.part(path) in _as_list(wanted) for path, wanted in step.get("until", {}).items()):
                return answer, True
            if time.monotonic() > end:
                return answer, False
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _repeated(self, step: Step) -> Answer:
        """The last answer to a step that is sent several times; all must have the same status."""
        times = step.get("repeat", 1)
        slots = asyncio.Semaphore(AT_ONCE if step.get("parallel") else 1)

        async def one(number: int) -> Answer:
            async with slots:
                return await self._send(self._filled(step, {"n": number}) if times > 1 else step)

        answers = await asyncio.gather(*(one(number) for number in range(times)))
        if len({answer.status for answer in answers}) > 1:
            raise Unanswered(f"answered with {sorted({answer.status for answer in answers})}")
        return answers[-1]

    async def _send(self, step: Step) -> Answer:
        method, target = step["request"].split(" ", 1)
        headers, body = dict(step.get("headers", {})), None
        if "json" in step:
            text = json.dumps(step["json"], ensure_ascii=False, separators=(",", ":"))
            body = text.encode("utf-8", "surrogatepass")
            headers.setdefault("Content-Type", "application/json")
        elif "text" in step:
            body = step["text"].encode()
        elif "base64" in step:
            body = base64.b64decode(step["base64"])
        url = yarl.URL(self._base + target.removeprefix(self._base), encoded=True)
        unsaid = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
        async with self._session.request(
            method, url, data=body, headers=headers, allow_redirects=False, skip_auto_headers=unsaid
        ) as answer:
            kept = {name.lower(): answer.headers[name] for name in answer.headers}
            return Answer(answer.status, kept, await answer.read())

    def _filled(self, value: Any, more: dict[str, Any] | None = None) -> Any:
        """A part of a step with its placeholders replaced, at any depth; other braces stay."""
        if isinstance(value, dict):
            return {self._filled(name, more): self._filled(item, more) for name, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, more) for item in value]
        if not isinstance(value, str):
            return value
        names = {**self._names, **(more or {})}
        return _PLACE.sub(lambda place: _placed(place, names), value)

    def _summary(self, step: Step, answer: Answer) -> Seen:
        """An answer as recordings keep it."""
        kind, value = answer.parsed
        if step.get("mine") and isinstance(value, list):
            value = [item for item in value if self._normal.token in json.dumps(item)]
        seen: Seen = {"status": answer.status}
        if headers := self._headers(step, answer):
            seen["headers"] = headers
        if kind != "empty":
            holder = {"body": self._normal.value(value)}
            for path in step.get("drop", []):
                change(holder, path, lambda _: "<dropped>")
            for path in step.get("sort", []):
                change(holder, path, in_order)
            seen[kind] = holder["body"]
        return {name: part for name, part in seen.items() if name not in step.get("skip", [])}

    def _headers(self, step: Step, answer: Answer) -> dict[str, str]:
        kept = {name: self._normal.text(answer.headers[name]) for name in COMPARED_HEADERS if name in answer.headers}
        if not answer.body or HOOK not in step["request"]:
            kept.pop("content-type", None)
        if kept.get("x-ms-continuation-token", "").strip():
            kept["x-ms-continuation-token"] = "<token>"
        return kept


def _as_request(step: Step) -> Step:
    """The short form of a wait as the request that it stands for."""
    if "wait" not in step:
        return step
    rest = {name: part for name, part in step.items() if name not in ("wait", "for", "query")}
    request = f"GET {HOOK}/instances/{step['wait']}{step.get('query', '')}"
    return {**rest, "request": request, "until": {"body.runtimeStatus": step.get("for", "Completed")}}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _placed(place: re.Match[str], names: dict[str, Any]) -> str:
    name, shift = place.groups()
    if name == "now":
        return f"{datetime.now(timezone.utc) + timedelta(seconds=int(shift or 0)):%Y-%m-%dT%H:%M:%S.%fZ}"
    if name.startswith("saved_") and name not in names:
        raise Unanswered(f"no earlier answer had what {name} names")
    return str(names[name]) if name in names and not shift else place.group()


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True).splitlines()


def main(arguments: Sequence[str]) -> int:
    """Plays the chosen scenarios; 1 when one differs that may not."""
    parser = argparse.ArgumentParser(prog="tests.conformance.runner", description="Plays the recorded scenarios.")
    parser.add_argument("--base", default="http://127.0.0.1:7071", help="the host's address")
    parser.add_argument("--only", action="append", default=[], help="part of a topic or name; may be repeated")
    parser.add_argument("--host-json", default=HOST_JSON, help="the host.json of the app that the host runs with")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"scenarios at the same time ({JOBS})")
    parser.add_argument("--deviations", action="store_true", help="expect the lab's host's deliberate deviations")
    parser.add_argument("--times", action="store_true", help="also list the twenty longest")
    given = parser.parse_args(arguments)
    chosen = [
        scenario for scenario in (expected() if given.deviations else load())
        if scenario.host_json == given.host_json
        and (not given.only or any(text.lower() in scenario.id.lower() for text in given.only))
    ]  # fmt: skip
    outcomes = asyncio.run(play_all(given.base.rstrip("/"), chosen, given.jobs, _report))
    if given.times:
        for one in sorted(outcomes, key=lambda one: -one.seconds)[:20]:
            print(f"{one.seconds:6.1f} s  {one.scenario.id}{'  (alone)' if one.scenario.alone else ''}")
    failed = [one for one in outcomes if one.differing() and one.scenario.may_differ is None]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} scenarios are answered as recorded or may differ")
    return 1 if failed else 0


def _report(outcome: Outcome) -> None:
    if outcome.earlier:
        print(f"PLAYED AGAIN {outcome.scenario.id}\n{outcome.earlier}")
    if differences := outcome.differences():
        allowed = f" (allowed: {outcome.scenario.may_differ})" if outcome.scenario.may_differ else ""
        print(f"DIFFERS {outcome.scenario.id}{allowed}\n{differences}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
