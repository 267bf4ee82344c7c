"""Calls the app's HTTP functions as the worker would, with the SDK's client speaking to a World."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import azure.functions as func

from tests.workflows.driver import FUNCTIONS, Client, World


@dataclass
class Answer:
    """What a client sees."""

    status: int
    body: Any
    headers: dict[str, str]

    def fields(self) -> list[str]:
        """The fields that a refusal complains of."""
        return [problem["field"] for problem in self.body["problems"]]


def call(
    world: World,
    function: str,
    data: Any = None,
    *,
    body: bytes | None = None,
    route: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request to the HTTP function of that name; `data` travels as JSON, `body` as it is."""
    content = body if body is not None else b"" if data is None else json.dumps(data).encode()
    request = func.HttpRequest(
        method="POST",
        url="http://localhost:7071/api/x",
        headers=headers or {},
        params=params or {},
        route_params=route or {},
        body=content,
    )
    user_function = FUNCTIONS["httpTrigger"][function]
    direct = getattr(user_function, "client_function", None)
    answer = asyncio.run(direct(request, Client(world)) if direct else user_function(request))
    text = answer.get_body()
    is_json = answer.mimetype == "application/json" or "json" in answer.headers.get("Content-Type", "")
    return Answer(answer.status_code, json.loads(text) if is_json else text, dict(answer.headers))
