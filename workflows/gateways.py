"""Calls to the services outside: one place for address, time-out, idempotency key and what an answer means."""

from dataclasses import dataclass
from typing import Any

import requests

from workflows import settings

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
WORTH_REPEATING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Unavailable(Exception):
    """The service could not be reached or could not answer now; whether it did the work is not known. Try again."""


@dataclass(frozen=True)
class Service:
    """One service: the setting that holds its address, and what it is for."""

    setting: str
    purpose: str


PAYMENT = Service("PAYMENT_URL", "where charges and refunds are made")
SHIPPING = Service("SHIPPING_URL", "where shipments are booked")
NOTIFICATION = Service("NOTIFICATION_URL", "where e-mails are handed in")
INVENTORY = Service("INVENTORY_URL", "where the supplier's products are looked up")


@dataclass(frozen=True)
class Answer:
    """An answer that repeating the request would not change."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status < 300

    def reason(self) -> str:
        """What the service says is wrong."""
        return str(self.body.get("reason") or f"the service answered {self.status}")


def call(service: Service, method: str, path: str, key: str = "", data: Any = None) -> Answer:
    """One request, JSON both ways, with `key` as its Idempotency-Key.

    Raises SettingMissing when the service has no address, Unavailable when trying again may help.
    """
    address = settings.required(service.setting, service.purpose).rstrip("/")
    headers = {"Idempotency-Key": key} if key else {}
    try:
        response = requests.request(
            method, f"{address}{path}", json=data, headers=headers, timeout=(CONNECT_SECONDS, ANSWER_SECONDS)
        )
    except requests.RequestException as error:
        raise Unavailable(f"{method} {path} at {service.setting}: {type(error).__name__}") from error
    if response.status_code in WORTH_REPEATING:
        raise Unavailable(f"{method} {path} at {service.setting}: answered {response.status_code}")
    return Answer(response.status_code, _record(response))


def _record(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
