"""Telling people: one activity for every workflow, by the notification service or, without one, in the log."""

import logging
from typing import TypedDict

from workflows import gateways, region, settings
from workflows.gateways import NOTIFICATION

blueprint = region.Blueprint()


class Notification(TypedDict):
    """One message; `key` is what makes sending it twice the same as once."""

    key: str
    to: str
    subject: str
    text: str


class Delivery(TypedDict):
    """How it was told: `sent`, `logged` or `refused`, and why."""

    outcome: str
    reason: str


def instance_link(instance_id: str) -> str:
    """Where a person or a program reads this instance's status, in whichever region it now runs."""
    base = settings.text("PUBLIC_BASE_URL", "http://localhost:7071").rstrip("/")
    return f"{base}/api/instances/{instance_id}"


@blueprint.activity_trigger(input_name="notification")
def send_notification(notification: Notification) -> Delivery:
    """Hands the message to the notification service, which sends one e-mail per key. Raises Unavailable."""
    link = instance_link(notification["key"].split("/")[0])
    if not settings.text(NOTIFICATION.setting):
        logging.info("To %s: %s (%s)", notification["to"], notification["subject"], link)
        return {"outcome": "logged", "reason": f"{NOTIFICATION.setting} is not set"}
    answer = gateways.call(NOTIFICATION, "POST", "/messages", notification["key"], {**notification, "link": link})
    if answer.ok:
        return {"outcome": "sent", "reason": ""}
    return {"outcome": "refused", "reason": answer.reason()}
