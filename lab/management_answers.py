"""What the management API answers: documents, errors and headers, with the extension's keys and texts."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from lab import newtonsoft
from lab.newtonsoft import READER, NotJsonText
from lab.worker import HttpResponse
from taskhub.client import EntityRecord
from taskhub.instances import InstanceStatus

JSON = "application/json; charset=utf-8"
TOKEN = "x-ms-continuation-token"
STACK = "   at lab.management_api"  # the extension's own stack would say nothing here


def empty(status: int) -> HttpResponse:
    """A response without a body."""
    return HttpResponse(status, [], b"")


def json_response(status: int, value: Any, headers: list[tuple[str, str]] | None = None) -> HttpResponse:
    """A response with a JSON body."""
    body = newtonsoft.encode(newtonsoft.dumps(value))
    return HttpResponse(status, [("Content-Type", JSON), *(headers or [])], body)


def accepted(document: Any, location: str, retry_after: int) -> HttpResponse:
    """202: come back after some seconds, there."""
    return json_response(202, document, [("Location", location), ("Retry-After", str(retry_after))])


def page(items: list[Any], token: str | None) -> HttpResponse:
    """One page of a list; the token's header is empty on the last one."""
    return json_response(200, items, [(TOKEN, token or "")])


def purged(count: int) -> HttpResponse:
    """How many instances are gone; none is 404."""
    return json_response(200, {"instancesDeleted": count}) if count else empty(404)


def ended(status: InstanceStatus) -> HttpResponse:
    """The answer to a start that waited: the output of a completed instance, else its status."""
    if status.runtime_status == "Completed":
        return json_response(200, newtonsoft.read_stored(status.output))
    return json_response(200, status_document(status))


def message(text: str) -> HttpResponse:
    """400 with a message and nothing else."""
    return json_response(400, {"Message": text})


def http_error(status: int, text: str, exception: str, kind: str) -> HttpResponse:
    """An HttpError document: what went wrong, and the .NET exception behind it."""
    document = {"Message": text, "ExceptionMessage": exception, "ExceptionType": kind, "StackTrace": STACK}
    return json_response(status, document)


def bad_argument(exception: str, kind: str = "System.ArgumentException") -> HttpResponse:
    """400 for an ArgumentException."""
    return http_error(400, "One or more of the arguments submitted is incorrect", exception, kind)


def went_wrong(exception: str, kind: str) -> HttpResponse:
    """500 for any other exception."""
    return http_error(500, "Something went wrong while processing your request", exception, kind)


def not_json(error: NotJsonText) -> HttpResponse:
    """A body that is not JSON: 400, or 500 where the extension's serializer rather than its reader gave up."""
    if error.kind == READER:
        return http_error(400, "Invalid JSON content", str(error), error.kind)
    return went_wrong(str(error), error.kind)


def wrong_state(verb: str, instance_id: str, state: str) -> HttpResponse:
    """500 for a suspend or resume that the instance's state forbids."""
    text = f"Cannot {verb} the orchestration instance {instance_id} because instance is in the {state} state."
    return went_wrong(text, "System.InvalidOperationException")


def bad_token(error: ValueError) -> HttpResponse:
    """500 for a continuation token that is not one of ours."""
    return went_wrong(str(error), READER)


def status_document(status: InstanceStatus) -> dict[str, Any]:
    """An instance's status; texts that hold JSON are shown as its values."""
    return {
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": status.runtime_status,
        "input": newtonsoft.read_stored(status.input),
        "customStatus": newtonsoft.read_stored(status.custom_status),
        "output": newtonsoft.read_stored(status.output),
        "createdTime": _to_the_second(status.created),
        "lastUpdatedTime": _to_the_second(status.last_updated),
    }


def entity_document(entity: EntityRecord, with_state: bool) -> dict[str, Any]:
    """An entity as the list shows it."""
    return {
        "entityId": {"name": entity.name, "key": entity.key},
        "lastOperationTime": entity.last_operation.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
        "state": newtonsoft.read_stored(entity.state) if with_state else None,
    }


def _to_the_second(moment: datetime | None) -> str:
    if moment is None:
        return "0001-01-01T00:00:00Z"  # .NET's default
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
