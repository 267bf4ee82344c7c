"""Let people decide on a proposal: as many managers as its amount asks for, reminded, escalated, replaceable.

POST /api/proposals                   {"title": "New oven", "author": "ada@example.com", "amount": 1200}
POST /api/proposals/{id}/decision     {"by": "grace@example.com", "decision": "approve" | "reject", "comment": "..."}
POST /api/proposals/{id}/reassign     {"by": "grace@example.com", "to": "edsger@example.com"}
POST /api/proposals/{id}/withdraw     {"by": "ada@example.com", "comment": "..."}

The review goes to the author's manager. Up to 1,000 one approval is enough, up to 50,000 two levels, above three; the
top of the directory decides alone. A reviewer is reminded once; when the time limit passes, the next manager takes
over, and above the top the proposal is rejected by timeout. The output holds the outcome and the whole trail.

Who `by` is, is what the caller says: put sign-in in front of the app before you rely on it.
"""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import azure.durable_functions as df
import azure.functions as func

from workflows import inputs, people, region, responses, retries, starters
from workflows.inputs import Checks
from workflows.orchestration import TIME_OVER, Inbox, Steps, iso
from workflows.responses import Conflict, Gone
from workflows.retries import FORWARD, GaveUp

blueprint = region.Blueprint()

NAME = "proposal_approval"
EVENT = "proposal"
ONE_LEVEL, TWO_LEVELS = 1_000, 50_000
REMIND_AFTER_SECONDS = 2 * 86_400
LIMIT_SECONDS = 5 * 86_400
LONGEST_LIMIT_SECONDS = 90 * 86_400
TRAIL_SHOWN = 20


@blueprint.route(route="proposals", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def start_proposal(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Submits one proposal."""
    return await starters.start(req, client, NAME)


@blueprint.route(route="proposals/{id}/decision", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def decide_proposal(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Hands in the reviewer's decision; a late or a second one is told who decided and when, and changes nothing."""
    checks = Checks()
    given = checks.record(inputs.json_body(req), "body", ("by", "decision", "comment"))
    event = {
        "kind": checks.one_of(given.get("decision"), "decision", ("approve", "reject")),
        "by": checks.text(given.get("by"), "by"),
        "comment": checks.text(given.get("comment"), "comment", default="", longest=2000),
    }
    return await _hand_in(client, req.route_params["id"], checks.finish(event), "reviewer")


@blueprint.route(route="proposals/{id}/reassign", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def reassign_proposal(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Gives the review to somebody else of the directory; the time limit begins again."""
    checks = Checks()
    given = checks.record(inputs.json_body(req), "body", ("by", "to"))
    event = {"kind": "reassign", "by": checks.text(given.get("by"), "by"), "to": checks.text(given.get("to"), "to")}
    if event["to"] and event["to"] not in people.directory():
        checks.wrong("to", "is not in the directory")
    return await _hand_in(client, req.route_params["id"], checks.finish(event), "reviewer")


@blueprint.route(route="proposals/{id}/withdraw", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@responses.refusals_answered
async def withdraw_proposal(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Takes the proposal back; only its author can."""
    checks = Checks()
    given = checks.record(inputs.json_body(req), "body", ("by", "comment"))
    comment = checks.text(given.get("comment"), "comment", default="", longest=2000)
    event = {"kind": "withdraw", "by": checks.text(given.get("by"), "by"), "comment": comment}
    return await _hand_in(client, req.route_params["id"], checks.finish(event), "author")


async def _hand_in(
    client: df.DurableOrchestrationClient, instance_id: str, event: dict[str, Any], role: str
) -> func.HttpResponse:
    """Raises the event if its sender has the role now; otherwise says how things stand.

    Two that are sent at the same moment are both accepted here; the orchestrator takes the first and notes the other.
    """
    status = await starters.known_status(client, instance_id, NAME)
    standing = status["customStatus"] or {}
    if status["runtimeStatus"] in starters.TERMINAL:
        raise Gone("This proposal is decided.", **_verdict(status["output"]))
    if standing and event["by"] != standing.get(role):
        message = f"Only the {role}, {standing.get(role)!r}, can do this now."
        raise Conflict(message, reviewer=standing.get("reviewer"), decisions=standing.get("decisions"))
    if event["kind"] == "reassign" and event["to"] == standing.get("author"):
        raise Conflict("Nobody reviews a proposal of their own.", reviewer=standing.get("reviewer"))
    await starters.raise_event(client, instance_id, EVENT, {**event, "id": uuid4().hex})
    return responses.json_response({"instanceId": instance_id, "accepted": event}, 202)


def _verdict(output: Any) -> dict[str, Any]:
    if not isinstance(output, dict):
        return {"outcome": output}
    return {key: output.get(key) for key in ("outcome", "decided_by", "decided_at")}


def check(data: Any) -> dict[str, Any]:
    """A proposal with its reviewers, as the directory stands now; who leaves later can be reassigned."""
    checks = Checks()
    known = ("title", "author", "amount", "text", "remind_after_seconds", "limit_seconds")
    wanted = checks.record(data, "body", known)
    author = checks.text(wanted.get("author"), "author")
    chain = people.managers(author) if author else []
    if author and not chain:
        checks.wrong("author", "has no manager in the directory")
    amount = checks.number(wanted.get("amount"), "amount", 0, 10**12)
    limit = checks.number(wanted.get("limit_seconds"), "limit_seconds", 1, LONGEST_LIMIT_SECONDS, LIMIT_SECONDS)
    remind = wanted.get("remind_after_seconds", min(limit, REMIND_AFTER_SECONDS))
    return checks.finish(
        {
            "title": checks.text(wanted.get("title"), "title"),
            "author": author,
            "amount": amount,
            "text": checks.text(wanted.get("text"), "text", default="", longest=20_000),
            "chain": chain,
            "people": sorted(person for person in people.directory() if person != author),
            "levels": levels(amount),
            "remind_after_seconds": checks.number(remind, "remind_after_seconds", 1, limit),
            "limit_seconds": limit,
        }
    )


def levels(amount: float) -> int:
    """How many managers, one above the other, have to approve this amount."""
    return 1 if amount <= ONE_LEVEL else 2 if amount <= TWO_LEVELS else 3


@blueprint.orchestration_trigger(context_name="context")
def proposal_approval(context: df.DurableOrchestrationContext) -> Steps:
    """One reviewer after the other until somebody's word is final."""
    request: Any = context.get_input()
    review = Review(context, request)
    for position, manager in enumerate(request["chain"]):
        is_last = position + 1 >= len(request["chain"])
        word = yield from review.by_one(manager, position + 1)
        if word == "approve" and (is_last or position + 1 >= request["levels"]):
            return (yield from review.end("approved"))
        if word == "reject":
            return (yield from review.end("rejected"))
        if word == "withdraw":
            return (yield from review.end("withdrawn"))
        if word == "timeout" and is_last:
            return (yield from review.end("timed_out"))
    return (yield from review.end("timed_out"))


class Review:
    """One proposal on its way: who has it now, what was decided, and everything that happened."""

    def __init__(self, context: df.DurableOrchestrationContext, request: dict[str, Any]) -> None:
        self._context = context
        self._request = request
        self._inbox = Inbox(context, EVENT)
        self._seen: set[str] = set()
        self._messages = 0
        self.reviewer = ""
        self.trail: list[dict[str, Any]] = []
        self.decisions: list[dict[str, Any]] = []
        self._note("submitted", request["author"])

    def by_one(self, manager: str, level: int) -> Steps:
        """One level's review; the answer is approve, reject, withdraw or timeout."""
        self._hand_to(manager, level)
        yield from self._tell(manager, "review", "Please review")
        reminder, limit = self._times()
        while True:
            event = yield from self._inbox.next(reminder or limit)
            if event is TIME_OVER and reminder:
                reminder = None
                self._note("reminded", self.reviewer)
                yield from self._tell(self.reviewer, "reminder", "Still waiting for your review")
            elif event is TIME_OVER:
                self._note("timeout", self.reviewer)
                return "timeout"
            elif self._counts(event):
                self._note(event["kind"], event["by"], event.get("comment", ""), event.get("to", ""))
                if event["kind"] != "reassign":
                    self._decided(event)
                    return event["kind"]
                self._hand_to(event["to"], level)
                yield from self._tell(event["to"], "review", "Please review")
                reminder, limit = self._times()

    def _hand_to(self, reviewer: str, level: int) -> None:
        self.reviewer = reviewer
        limit = self._context.current_utc_datetime + timedelta(seconds=self._request["limit_seconds"])
        self._context.set_custom_status(
            {
                "state": "in review",
                "reviewer": reviewer,
                "author": self._request["author"],
                "level": level,
                "levels": self._request["levels"],
                "until": iso(limit),
                "decisions": self.decisions[-TRAIL_SHOWN:],
            }
        )

    def _times(self) -> tuple[Any, Any]:
        now = self._context.current_utc_datetime
        limit = now + timedelta(seconds=self._request["limit_seconds"])
        remind = now + timedelta(seconds=self._request["remind_after_seconds"])
        return (remind if remind < limit else None), limit

    def _counts(self, event: Any) -> bool:
        """Whether the event is new, well formed and from the one whose turn it is; the others change nothing."""
        if not isinstance(event, dict) or event.get("kind") not in ("approve", "reject", "withdraw", "reassign"):
            self._note("ignored", "", "not a decision")
            return False
        key = event.get("id")
        if isinstance(key, str):
            if key in self._seen:
                return False
            self._seen.add(key)
        whose = self._request["author"] if event["kind"] == "withdraw" else self.reviewer
        if event.get("by") != whose:
            self._note("ignored", str(event.get("by")), f"{event['kind']}, but it was the turn of {whose}")
            return False
        if event["kind"] == "reassign" and event.get("to") not in self._request["people"]:
            self._note("ignored", whose, f"reassign to {event.get('to')!r}, who cannot review this")
            return False
        return True

    def _decided(self, event: dict[str, Any]) -> None:
        at = iso(self._context.current_utc_datetime)
        self.decisions.append({"by": event["by"], "decision": event["kind"], "at": at})

    def _note(self, what: str, who: str, comment: str = "", to: str = "") -> None:
        entry = {"at": iso(self._context.current_utc_datetime), "what": what, "who": who}
        self.trail.append(entry | ({"comment": comment} if comment else {}) | ({"to": to} if to else {}))

    def _tell(self, to: str, about: str, subject: str) -> Steps:
        """Writes to one person, listening meanwhile; who cannot be told can still decide."""
        self._messages += 1
        message = {
            "key": f"{self._context.instance_id}/proposal/{self._messages}-{about}",
            "to": to,
            "subject": f"{subject}: {self._request['title']}",
            "text": f"{self._request['author']} proposes {self._request['title']} for {self._request['amount']}.",
        }
        try:
            during = self._inbox.during
            yield from retries.call_with_backoff(self._context, "send_notification", message, FORWARD, during)
        except GaveUp as error:
            self._note("not told", to, str(error))

    def end(self, outcome: str) -> Steps:
        """Tells the author and closes the trail."""
        last = self.decisions[-1] if self.decisions and outcome != "timed_out" else {}
        decided_at = last.get("at", iso(self._context.current_utc_datetime))
        yield from self._tell(self._request["author"], "outcome", f"Your proposal is {outcome.replace('_', ' ')}")
        self._context.set_custom_status({"state": outcome, "author": self._request["author"]})
        return {
            "outcome": outcome,
            "decided_by": last.get("by", "nobody in time"),
            "decided_at": decided_at,
            "trail": self.trail,
        }
