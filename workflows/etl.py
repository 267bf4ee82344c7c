"""Load a file of customers: split it, clean the parts side by side, keep good rows, say what is wrong with the rest.

POST /api/etl?id=july    body: CSV with the columns id,name,email,amount,country (Content-Type: text/csv),
                         or the same as JSON lines (Content-Type: application/x-ndjson)
POST /api/orchestrators/etl   {"blob": "incoming/july.csv", "format": "csv"} for a blob that is already there
GET  /api/etl/{id}/good.jsonl, /api/etl/{id}/bad.jsonl   the results

Only names of blobs, places in them and counts travel through the history (claim check). A part is a range of the
source and its child's id is made of its number, so whatever is delivered again writes the same blob again.
"""

import hashlib
from typing import Any, TypedDict

import azure.durable_functions as df
import azure.functions as func

from workflows import blobs, etl_rows, inputs, region, responses, settings, starters
from workflows.inputs import Checks
from workflows.orchestration import Steps, failure_reason
from workflows.responses import InvalidInput, NotFound, Problem
from workflows.retries import STORAGE

blueprint = region.Blueprint()

NAME = "etl"
UPLOAD_LIMIT_BYTES = 100 * 1024 * 1024
ROWS_PER_PART = 5_000
PARTS_AT_ONCE = 4
CONTENT_TYPES = {"text/csv": "csv", "application/x-ndjson": "jsonl", "application/jsonl": "jsonl"}


@blueprint.route(route="etl", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def upload_etl(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Keeps the body as a blob and starts on it; a repeated request with the same id finds the first."""
    content_type = req.headers.get("Content-Type", "").split(";")[0].strip().lower()
    kind = CONTENT_TYPES.get(content_type)
    if kind is None:
        raise InvalidInput(Problem("Content-Type", f"must be one of {', '.join(CONTENT_TYPES)}"))
    content = inputs.body(req, UPLOAD_LIMIT_BYTES)
    instance_id = inputs.chosen_id(req, NAME)
    etl_rows.check_source(content, kind)
    # Named by content, so that two different uploads under one id cannot mix.
    source = f"etl/{instance_id}/source-{hashlib.sha256(content).hexdigest()[:16]}"
    if not await starters.is_started(client, NAME, instance_id):
        blobs.container().put(source, content)
    await starters.start_once(client, NAME, instance_id, {"blob": source, "format": kind})
    return responses.accepted(req, client, instance_id)


@blueprint.route(route="etl/{id}/{file}", methods=["GET"])
@responses.refusals_answered
async def get_etl_file(req: func.HttpRequest) -> func.HttpResponse:
    """The good or the bad rows as JSON lines; 404 while they are not there."""
    instance_id, file = inputs.checked_id(req.route_params["id"], "id"), req.route_params["file"]
    if file not in ("good.jsonl", "bad.jsonl"):
        raise NotFound("There are good.jsonl and bad.jsonl.")
    try:
        return func.HttpResponse(blobs.container().get(f"etl/{instance_id}/{file}"), mimetype="application/x-ndjson")
    except blobs.BlobMissing as error:
        raise NotFound(f"There is no {file} of {instance_id!r}.") from error


def check(data: Any) -> dict[str, Any]:
    """The name of a source blob and its format."""
    checks = Checks()
    wanted = checks.record(data, "body", ("blob", "format", "rows_per_part"))
    name = checks.text(wanted.get("blob"), "blob", longest=500)
    if name and not blobs.is_usable(name):
        checks.wrong("blob", "is not a usable blob name")
    kind = checks.one_of(wanted.get("format"), "format", ("csv", "jsonl"), default="csv")
    size = checks.number(wanted.get("rows_per_part"), "rows_per_part", 1, 50_000, ROWS_PER_PART, whole=True)
    return checks.finish({"blob": name, "format": kind, "rows_per_part": size})


@blueprint.orchestration_trigger(context_name="context")
def etl(context: df.DurableOrchestrationContext) -> Steps:
    """Plan, clean a few parts at a time, load, clear up."""
    request: Any = context.get_input()
    plan = {"rows_per_part": ROWS_PER_PART, **request}
    parts = yield context.call_activity_with_retry("plan_etl", STORAGE, plan)
    cleaned, failed = yield from _clean_all(context, request, parts)
    if failed:
        return {"status": "failed", "failed_parts": failed}
    context.set_custom_status({"percent": 90, "step": "loading"})
    load = {"instance": context.instance_id, "parts": cleaned}
    result = yield context.call_activity_with_retry("load_etl", STORAGE, load)
    names = [name for part in cleaned for name in (part["good"], part["bad"])]
    yield context.call_activity_with_retry("delete_blobs", STORAGE, {"names": names})
    context.set_custom_status({"percent": 100, "step": "done"})
    return result


def _clean_all(context: df.DurableOrchestrationContext, request: dict[str, Any], parts: list[Any]) -> Steps:
    """Runs one child a part, four at a time; all are waited for, also when one has failed.

    In waves, not one new child for each that ends: the extension awaits what is new in a compound before it goes on, so
    the fifth child would hold up the sixth.
    """
    results: list[Any] = []
    for first in range(0, len(parts), PARTS_AT_ONCE):
        wave = range(first, min(first + PARTS_AT_ONCE, len(parts)))
        results += yield context.task_all([_child(context, request, number, parts[number]) for number in wave])
        context.set_custom_status({"percent": 90 * len(results) // len(parts), "step": "cleaning"})
    failures = [result["failed"] for result in results if "failed" in result]
    return [result for result in results if "failed" not in result], failures


def _child(context: df.DurableOrchestrationContext, request: dict[str, Any], number: int, part: Any) -> Any:
    # With an id of our own a child that is started again is the same child, and people can find it.
    data = {"instance": context.instance_id, "number": number, "format": request["format"], **part}
    data["blob"] = request["blob"]
    return context.call_sub_orchestrator("etl_part", data, f"{context.instance_id}:part-{number:04d}")


@blueprint.orchestration_trigger(context_name="context")
def etl_part(context: df.DurableOrchestrationContext) -> Steps:
    """One part, tried again by itself. A failure is its answer, so that the parent waits for the other parts too."""
    try:
        return (yield context.call_activity_with_retry("clean_part", STORAGE, context.get_input()))
    except Exception as error:
        return {"failed": failure_reason(error)}


class Plan(TypedDict):
    """A source to split."""

    blob: str
    format: str
    rows_per_part: int


class Part(TypedDict):
    """A range of the source; `header` is what a CSV begins with, `line` the number of its first line."""

    instance: str
    number: int
    blob: str
    format: str
    start: int
    length: int
    line: int
    header: str


class Cleaned(TypedDict):
    """The blobs that one part became."""

    good: str
    bad: str


class Load(TypedDict):
    """The cleaned parts of one source, in order."""

    instance: str
    parts: list[Cleaned]


@blueprint.activity_trigger(input_name="plan")
def plan_etl(plan: Plan) -> list[dict[str, Any]]:
    """Where the parts of the source begin and end; a record with line breaks inside quotes stays whole."""
    content = blobs.container().get(plan["blob"])
    return etl_rows.ranges(content, plan["format"], plan["rows_per_part"])


@blueprint.activity_trigger(input_name="part")
def clean_part(part: Part) -> Cleaned:
    """Cleans one range and writes its good and bad rows as blobs named after the part."""
    store = blobs.container()
    content = store.get_range(part["blob"], part["start"], part["length"])
    good, bad = etl_rows.clean(content, part["format"], part["header"], part["line"])
    base = f"etl/{part['instance']}/parts/{part['number']:04d}"
    names: Cleaned = {"good": f"{base}.good.jsonl", "bad": f"{base}.bad.jsonl"}
    store.put(names["good"], etl_rows.to_lines(good))
    store.put(names["bad"], etl_rows.to_lines(bad))
    return names


@blueprint.activity_trigger(input_name="load")
def load_etl(load: Load) -> dict[str, Any]:
    """Puts the parts together, each customer once, and writes both results whole.

    A part that is gone was cleared up after the loading: run again, as redelivery after a failover does, this finds
    the result and replaces nothing. Raises BlobMissing when neither is there.
    """
    store = blobs.container()
    good, bad = (f"etl/{load['instance']}/{kind}.jsonl" for kind in ("good", "bad"))
    try:
        whole = _put_together(store, [(part["good"], part["bad"]) for part in load["parts"]])
        store.put(good, b"".join(whole.good))
        store.put(bad, b"".join(whole.bad))
    except blobs.BlobMissing:
        whole = _put_together(store, [(good, bad)])
    links = {f"{kind}_rows": _link(load["instance"], f"{kind}.jsonl") for kind in ("good", "bad")}
    return {"status": "loaded", **whole.summary(), **links}


def _put_together(store: blobs.Blobs, parts: list[tuple[str, str]]) -> etl_rows.Whole:
    whole = etl_rows.Whole()
    for good, bad in parts:
        whole.add(store.get(good), store.get(bad))
    return whole


def _link(instance_id: str, file: str) -> str:
    return f"{settings.text('PUBLIC_BASE_URL', 'http://localhost:7071').rstrip('/')}/api/etl/{instance_id}/{file}"
