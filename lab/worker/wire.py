"""The worker's values as JSON: how the dataclasses of the interface look to the code inside."""

from __future__ import annotations

import base64
from typing import Any

from lab.worker import EpisodeCall, EpisodeResult, FunctionInfo, HttpRequest, HttpResponse


def function_from(fields: dict[str, Any]) -> FunctionInfo:
    """A function as the code inside describes it."""
    return FunctionInfo(**fields)


def request_to(request: HttpRequest) -> dict[str, Any]:
    """A request for the code inside."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": [list(header) for header in request.headers],
        "query": request.query,
        "route_params": request.route_params,
        "body": base64.b64encode(request.body).decode("ascii"),
        "inputs": request.inputs,
    }


def response_from(fields: dict[str, Any]) -> HttpResponse:
    """A response of the code inside."""
    return HttpResponse(
        status=fields["status"],
        headers=[(name, value) for name, value in fields["headers"]],
        body=base64.b64decode(fields["body"]),
        outputs=fields["outputs"],
    )


def call_to(call: EpisodeCall) -> dict[str, Any]:
    """An episode for the code inside; the events are handed on as they are."""
    return {
        "function": call.function,
        "instance_id": call.instance_id,
        "execution_id": call.execution_id,
        "parent_instance_id": call.parent_instance_id,
        "input": call.input,
        "events": call.events,
        "start_index": call.start_index,
        "keep": call.keep,
    }


def result_from(fields: dict[str, Any]) -> EpisodeResult:
    """What an episode came to, from the code inside."""
    return EpisodeResult(**fields)
