"""How every endpoint answers: 202 with the status links, one body for every refusal, and JSON for the rest."""

import functools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ParamSpec
from urllib.parse import urlsplit

import azure.durable_functions as df
import azure.functions as func

from workflows import settings

P = ParamSpec("P")
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a request: where (a path such as `lines[0].quantity`, or `body`) and why."""

    field: str
    reason: str


class Refused(Exception):
    """A request that starts and changes nothing; it becomes an answer with this status."""

    status = 400

    def __init__(self, message: str, problems: tuple[Problem, ...] = (), **more: Any) -> None:
        super().__init__(message)
        self.message = message
        self.problems = problems
        self.more = more


class InvalidInput(Refused):
    """400: what was sent cannot be used; `problems` lists every reason found."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("The request was not accepted; nothing was started or changed.", problems)


class NotFound(Refused):
    """404: no such instance, workflow, part or device."""

    status = 404


class Conflict(Refused):
    """409: the request contradicts what is already known, and changes nothing."""

    status = 409


class Gone(Refused):
    """410: the instance has already finished."""

    status = 410


class Unconfigured(Refused):
    """503: the app lacks a setting that this request needs; the message names it."""

    status = 503


class HubUnavailable(Refused):
    """503: the task hub did not answer, and it is not known whether it took the request; the same id makes it safe."""

    status = 503


class TooLarge(Refused):
    """413: the body is larger than this endpoint takes."""

    status = 413


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """Any JSON value as a response."""
    text = json.dumps(body, allow_nan=False)
    return func.HttpResponse(text, status_code=status, headers=dict(headers or {}), mimetype="application/json")


def refusal(refused: Refused) -> func.HttpResponse:
    """The one body of all refusals: `message`, `problems` (a list of {field, reason}) and what else helps."""
    body = {"message": refused.message, "problems": [asdict(p) for p in refused.problems], **refused.more}
    return json_response(body, refused.status)


def refusals_answered(
    function: Callable[P, Awaitable[func.HttpResponse]],
) -> Callable[P, Awaitable[func.HttpResponse]]:
    """Wraps an endpoint so that a `Refused` raised anywhere inside becomes its answer."""

    @functools.wraps(function)
    async def endpoint(*args: P.args, **kwargs: P.kwargs) -> func.HttpResponse:
        try:
            return await function(*args, **kwargs)
        except Refused as refused:
            if refused.status >= 500:
                logging.error("%s", refused.message, exc_info=refused)
            return refusal(refused)
        except settings.SettingMissing as error:
            return refusal(Unconfigured(str(error)))

    return endpoint


def with_public_origin(url: str) -> str:
    """The same link on PUBLIC_BASE_URL, the name that stays when the region changes; unchanged when it is not set."""
    public = settings.text("PUBLIC_BASE_URL").rstrip("/")
    if not public:
        return url
    parts = urlsplit(url)
    return f"{public}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def accepted(req: func.HttpRequest, client: df.DurableOrchestrationClient, instance_id: str) -> func.HttpResponse:
    """202 with the official check-status payload, `Location` and `Retry-After`.

    Same content as the SDK's create_check_status_response; the links carry PUBLIC_BASE_URL when that is set, since the
    name of one region's app is of no use to a client after a failover.
    """
    links = client.get_client_response_links(req, instance_id)
    links = {name: with_public_origin(link) if name != "id" else instance_id for name, link in links.items()}
    return json_response(links, 202, {"Location": links["statusQueryGetUri"], "Retry-After": "10"})
