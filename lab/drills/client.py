"""The clients of the drill: they start instances, keep the URLs they were given, raise events and ask for statuses."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from lab.drills.mix import Call
from lab.drills.workload import Way

START = "/api/orchestrators/external_event"
RAISE = "/api/SendExternalEvent"
STATUS = "/api/instances/{}"
HEALTH = "/api/health"
EVENT_NAME = "event"
AT_ONCE = 16  # requests
TRIES = 3  # of a question that changes nothing, when there is no answer
TIMEOUT = aiohttp.ClientTimeout(total=60)


@dataclass(frozen=True)
class Answer:
    """What a host answered; status 0: it did not."""

    status: int
    body: Any = None

    @property
    def is_accepted(self) -> bool:
        return self.status == 202


class Clients:
    """All of them, with one place for the URLs they keep. `origin` is the host that they know to be right now."""

    def __init__(self) -> None:
        self.origin = ""
        self.kept: dict[str, dict[str, str]] = {}  # instance -> the links of its start's answer
        self._session: aiohttp.ClientSession | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def start(self, instance_id: str, data: Any) -> Answer:
        """Starts an instance under an id of the client's choice, so that asking again does no harm."""
        answer = await self._ask("POST", f"{self.origin}{START}?id={instance_id}", data)
        if answer.is_accepted:
            self.kept[instance_id] = answer.body
        return answer

    async def begin(self, instance_id: str, call: Call) -> Answer:
        """Starts an instance of any workflow, by the request that its client has in mind."""
        answer = await self.send(call)
        if answer.is_accepted:
            self.kept[instance_id] = answer.body
        return answer

    async def send(self, call: Call) -> Answer:
        """One request to the app's own endpoints."""
        return await self._ask("POST", self.origin + call.path, None if call.body is None else json.loads(call.body))

    async def raise_event(self, instance_id: str, data: Any, way: Way) -> Answer:
        """Raises the event through the URL that came with the start, or through the app's own endpoint."""
        if way == "kept URL":
            url = self.kept[instance_id]["sendEventPostUri"].replace("{eventName}", EVENT_NAME)
            return await self._ask("POST", self._here(url), data)
        body = {"instanceId": instance_id, "eventName": EVENT_NAME, "data": data}
        return await self._ask("POST", f"{self.origin}{RAISE}", body)

    async def status(self, instance_id: str) -> Answer:
        """The instance's status through the URL that came with the start; 404: nobody knows it."""
        url = self._here(self.kept[instance_id]["statusQueryGetUri"])
        for _ in range(TRIES):
            answer = await self._ask("GET", url)
            if answer.status:
                break
        return answer

    async def is_healthy(self) -> bool:
        """Whether the host answers at all."""
        return (await self._ask("GET", f"{self.origin}{HEALTH}")).status == 200

    async def close(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()

    def _here(self, url: str) -> str:
        """A kept URL on the host of now: only its host name and port change."""
        place, origin = urlsplit(url), urlsplit(self.origin)
        return urlunsplit(place._replace(scheme=origin.scheme, netloc=origin.netloc))

    async def _ask(self, method: str, url: str, data: Any = None) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        body = None if data is None else json.dumps(data)
        headers = {} if data is None else {"Content-Type": "application/json"}
        async with self._turns:
            try:
                async with self._session.request(method, url, data=body, headers=headers) as response:
                    return Answer(response.status, _parsed(await response.text()))
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
                return Answer(0)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
