"""Write a long report part by part, with progress; start it, poll it, cancel it, fetch it.

POST /api/reports[?wait=10]   {"title": "Year 2025", "parts": 12, "rows_per_part": 200}
                              202 with links; with `wait` the result itself if it is ready within so many seconds
GET  /api/reports/{id}        202 with Retry-After and Location while it is written, 200 with the result after
POST /api/reports/{id}/cancel stops after the part in hand and deletes what was written
GET  /api/reports/{id}/text   the report

Each part is a ledger drawn from title and number, so a part that is written again is the same part.
"""

import hashlib
from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

from workflows import blobs, inputs, region, responses, settings, starters
from workflows.inputs import Checks
from workflows.orchestration import Inbox, Steps
from workflows.responses import InvalidInput, NotFound, Problem
from workflows.retries import STORAGE

blueprint = region.Blueprint()

NAME = "report"
INLINE_BYTES = 64 * 1024
LONGEST_WAIT_SECONDS = 60
CANCEL_EVENT = "cancel"


@blueprint.route(route="reports", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def start_report(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Starts one report, and with `?wait=` stays for its result."""
    seconds = _wait_seconds(req)
    started = await starters.start(req, client, NAME)
    if not seconds:
        return started
    return await starters.wait_or_accept(req, client, starters.id_of(started), seconds)


def _wait_seconds(req: func.HttpRequest) -> float:
    text = req.params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise InvalidInput(Problem("wait", f"must be a number of seconds from 0 to {LONGEST_WAIT_SECONDS}"))
    return seconds


@blueprint.route(route="reports/{id}", methods=["GET"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def get_report(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """The report's status, by the contract every HTTP client library knows."""
    return await starters.answer_status(req, client, req.route_params["id"], NAME)


@blueprint.route(route="reports/{id}/cancel", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def cancel_report(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Asks the report to stop; 410 when it is finished."""
    instance_id = req.route_params["id"]
    await starters.known_status(client, instance_id, NAME)
    await starters.raise_event(client, instance_id, CANCEL_EVENT, {})
    return responses.json_response({"instanceId": instance_id, "eventName": CANCEL_EVENT}, 202)


@blueprint.route(route="reports/{id}/text", methods=["GET"])
@responses.refusals_answered
async def get_report_text(req: func.HttpRequest) -> func.HttpResponse:
    """The finished report; 404 while there is none."""
    instance_id = inputs.checked_id(req.route_params["id"], "id")
    try:
        content = blobs.container().get(_whole(instance_id))
    except blobs.BlobMissing as error:
        raise NotFound(f"There is no finished report {instance_id!r}.") from error
    return func.HttpResponse(content, mimetype="text/plain")


def check(data: Any) -> dict[str, Any]:
    """A title, and how long the report shall be."""
    checks = Checks()
    wanted = checks.record({} if data is None else data, "body", ("title", "parts", "rows_per_part"))
    return checks.finish(
        {
            "title": checks.text(wanted.get("title"), "title", default="Report"),
            "parts": checks.number(wanted.get("parts"), "parts", 1, 500, default=12, whole=True),
            "rows_per_part": checks.number(wanted.get("rows_per_part"), "rows_per_part", 1, 50_000, 100, whole=True),
        }
    )


@blueprint.orchestration_trigger(context_name="context")
def report(context: df.DurableOrchestrationContext) -> Steps:
    """Part after part, listening for a cancel in between, then all of them in one."""
    request: Any = context.get_input()
    inbox = Inbox(context, CANCEL_EVENT)
    parts: list[str] = []
    for number in range(1, request["parts"] + 1):
        percent = 100 * (number - 1) // request["parts"]
        context.set_custom_status({"percent": percent, "part": f"{number} of {request['parts']}"})
        part = {"instance": context.instance_id, "number": number, **request}
        parts.append((yield from inbox.during(context.call_activity_with_retry("write_report_part", STORAGE, part))))
        if inbox.has_news():
            yield context.call_activity_with_retry("delete_blobs", STORAGE, {"names": parts})
            context.set_custom_status({"percent": percent, "part": "cancelled"})
            return {"status": "cancelled", "parts_written": number}
    whole = {"instance": context.instance_id, "title": request["title"], "parts": parts}
    result = yield context.call_activity_with_retry("bind_report", STORAGE, whole)
    yield context.call_activity_with_retry("delete_blobs", STORAGE, {"names": parts})
    context.set_custom_status({"percent": 100, "part": "done"})
    return result


class Part(TypedDict):
    """One part to write."""

    instance: str
    number: int
    title: str
    parts: int
    rows_per_part: int


class Whole(TypedDict):
    """The parts of one report, in order."""

    instance: str
    title: str
    parts: list[str]


@blueprint.activity_trigger(input_name="part")
def write_report_part(part: Part) -> str:
    """Writes one part as a blob whose name and content follow from its input; the answer is the name."""
    lines = [f"Part {part['number']}"]
    lines += [_row(part["title"], part["number"], row) for row in range(1, part["rows_per_part"] + 1)]
    name = f"reports/{part['instance']}/part-{part['number']:04d}"
    blobs.container().put(name, "\n".join([*lines, ""]).encode())
    return name


def _row(title: str, number: int, row: int) -> str:
    digest = hashlib.sha256(f"{title}/{number}/{row}".encode()).digest()
    return f"{number:04d}-{row:05d}  {int.from_bytes(digest[:3], 'big') / 100:12,.2f}  {digest[3:7].hex()}"


@blueprint.activity_trigger(input_name="whole")
def bind_report(whole: Whole) -> dict[str, Any]:
    """Binds the parts into one blob; a short report travels in the answer too, a long one only by its link.

    Run again after the clearing up, as redelivery after a failover does, it finds the report bound. Raises BlobMissing
    when neither is there.
    """
    store = blobs.container()
    try:
        content = f"{whole['title']}\n\n".encode() + b"".join(store.get(name) for name in whole["parts"])
        store.put(_whole(whole["instance"]), content)
    except blobs.BlobMissing:
        content = store.get(_whole(whole["instance"]))
    result = {
        "status": "written",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "link": _link(whole["instance"]),
    }
    return result | ({"text": content.decode()} if len(content) <= INLINE_BYTES else {})


def _whole(instance_id: str) -> str:
    return f"reports/{instance_id}/report.txt"


def _link(instance_id: str) -> str:
    return f"{settings.text('PUBLIC_BASE_URL', 'http://localhost:7071').rstrip('/')}/api/reports/{instance_id}/text"
