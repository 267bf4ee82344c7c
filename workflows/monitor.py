"""Watch a URL, or a named condition, until it is met or the time is over; tell somebody either way.

POST /api/monitors             {"url": "https://example.com/health", "every_seconds": 10, "deadline_seconds": 3600,
                                "notify": "ops@example.com"}
                               or {"condition": "payment_service_answers", ...} in place of the URL
POST /api/monitors/{id}/stop   ends it now; the output says so

The interval grows by half after every check, up to ten times the first. Each check begins a new generation
(continue-as-new), so the history of a monitor that runs for weeks stays as small as on its first day.
"""

import ipaddress
from datetime import datetime, timedelta
from typing import Any, TypedDict
from urllib.parse import urlsplit

import azure.durable_functions as df
import azure.functions as func
import requests

from workflows import gateways, region, responses, retries, settings, starters
from workflows.inputs import Checks
from workflows.orchestration import TIME_OVER, TURN_OF_A_GENERATION, Inbox, Steps, from_iso, iso
from workflows.retries import FORWARD, GaveUp

blueprint = region.Blueprint()

NAME = "monitor"
STOP_EVENT = "stop"
GROWTH = 1.5
MOST_GROWTH = 10
CONDITIONS = {
    "payment_service_answers": gateways.PAYMENT,
    "shipping_service_answers": gateways.SHIPPING,
    "notification_service_answers": gateways.NOTIFICATION,
    "inventory_service_answers": gateways.INVENTORY,
}


@blueprint.route(route="monitors", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def start_monitor(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Starts one monitor."""
    return await starters.start(req, client, NAME)


@blueprint.route(route="monitors/{id}/stop", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def stop_monitor(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Stops one monitor; 410 when it has ended."""
    instance_id = req.route_params["id"]
    await starters.known_status(client, instance_id, NAME)
    await starters.raise_event(client, instance_id, STOP_EVENT, {})
    return responses.json_response({"instanceId": instance_id, "eventName": STOP_EVENT}, 202)


def check(data: Any) -> dict[str, Any]:
    """What to watch, how often, for how long, and whom to tell."""
    checks = Checks()
    known = ("url", "condition", "every_seconds", "deadline_seconds", "expect_status", "notify")
    wanted = checks.record(data, "body", known)
    url, condition = wanted.get("url"), wanted.get("condition")
    if (url is None) == (condition is None):
        checks.wrong("url", "give either a url or a condition")
    elif url is not None:
        _check_url(checks, checks.text(url, "url", longest=2000))
    else:
        checks.one_of(condition, "condition", CONDITIONS)
    return checks.finish(
        {
            "url": url,
            "condition": condition,
            "every_seconds": checks.number(wanted.get("every_seconds"), "every_seconds", 1, 86_400, 30),
            "deadline_seconds": checks.number(wanted.get("deadline_seconds"), "deadline_seconds", 1, 10_000_000, 3600),
            "expect_status": checks.number(wanted.get("expect_status"), "expect_status", 100, 599, 200, whole=True),
            "notify": checks.text(wanted.get("notify"), "notify", default="operations"),
        }
    )


def _check_url(checks: Checks, url: str) -> None:
    """Web addresses only, and none that speak of this machine's own cloud (169.254.169.254 and its like)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host:
        checks.wrong("url", "must be an http or https address")
        return
    allowed = [name.strip() for name in settings.text("MONITOR_HOSTS").split(",") if name.strip()]
    if allowed and host not in allowed:
        checks.wrong("url", f"must be on one of {', '.join(allowed)}")
    if _is_link_local(host):
        checks.wrong("url", "must not be a link-local address")


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


@blueprint.orchestration_trigger(context_name="context")
def monitor(context: df.DurableOrchestrationContext) -> Steps:
    """One check a generation; what must be remembered travels in the input of the next."""
    state: Any = context.get_input()
    now = context.current_utc_datetime
    deadline = from_iso(state["deadline"]) if "deadline" in state else _deadline(now, state)
    checked = state.get("checks", 0) + 1
    inbox = Inbox(context, STOP_EVENT, state.get("unread"), TURN_OF_A_GENERATION)

    look = context.call_activity("check_condition", {key: state[key] for key in ("url", "condition", "expect_status")})
    seen = yield from _look(inbox, look)
    context.set_custom_status({"checks": checked, "last": seen["detail"], "until": iso(deadline)})
    if seen["met"]:
        return (yield from _ended(context, state, "met", checked, seen["detail"]))
    if context.current_utc_datetime >= deadline:
        return (yield from _ended(context, state, "deadline", checked, seen["detail"]))
    pause = min(state["every_seconds"] * GROWTH ** min(checked - 1, 20), state["every_seconds"] * MOST_GROWTH)
    wake = min(context.current_utc_datetime + timedelta(seconds=pause), deadline)
    if (yield from inbox.next(wake)) is not TIME_OVER:
        return {"status": "stopped", "checks": checked, "last": seen["detail"]}
    progress = {"deadline": iso(deadline), "checks": checked, "unread": (yield from inbox.carry())}
    context.continue_as_new({**state, **progress})
    return None


def _deadline(now: datetime, state: dict[str, Any]) -> datetime:
    return now + timedelta(seconds=state["deadline_seconds"])


def _look(inbox: Inbox, look: Any) -> Steps:
    """A check that itself fails is a condition not met; the next one is soon enough."""
    try:
        return (yield from inbox.during(look))
    except Exception as error:
        return {"met": False, "detail": str(error).split("\n")[0]}


def _ended(
    context: df.DurableOrchestrationContext, state: dict[str, Any], status: str, checked: int, detail: str
) -> Steps:
    """Tells the person who asked, once, whatever runs again."""
    watched = state["url"] or state["condition"]
    words = "is met" if status == "met" else "was not met in time"
    message = {
        "key": f"{context.instance_id}/monitor/{status}",
        "to": state["notify"],
        "subject": f"{watched} {words}",
        "text": f"After {checked} checks: {detail}.",
    }
    try:
        told = (yield from retries.call_with_backoff(context, "send_notification", message, FORWARD))["outcome"]
    except GaveUp:
        told = "failed"
    return {"status": status, "checks": checked, "last": detail, "told": told}


class Watched(TypedDict):
    """What to look at: a URL and the status it should answer with, or a named condition."""

    url: str | None
    condition: str | None
    expect_status: int


@blueprint.activity_trigger(input_name="watched")
def check_condition(watched: Watched) -> dict[str, Any]:
    """Looks once and changes nothing. A service that cannot be reached is a condition not met."""
    try:
        url, expected = watched["url"], watched["expect_status"]
        if not url:
            service = CONDITIONS[str(watched["condition"])]
            base = urlsplit(settings.required(service.setting, service.purpose))
            url, expected = f"{base.scheme}://{base.netloc}/health", 200
        timeout = (gateways.CONNECT_SECONDS, gateways.ANSWER_SECONDS)
        with requests.get(url, timeout=timeout, allow_redirects=False, stream=True) as answer:
            status = answer.status_code
        return {"met": status == expected, "detail": f"answered {status}"}
    except (requests.RequestException, settings.SettingMissing) as error:
        detail = str(error) if isinstance(error, settings.SettingMissing) else type(error).__name__
        return {"met": False, "detail": detail}
