"""What a trigger is given: the account, the clock, the worker, and the app's settings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from lab.errors import SettingsError
from lab.host_json import parse_timespan, resolve, value
from lab.worker import FunctionInfo, Worker
from taskhub.accounts import Account
from taskhub.clock import Clock

HOSTS_CONTAINER = "azure-webjobs-hosts"  # where the Functions host keeps locks, timers' status and blobs' receipts
OWN_CONNECTIONS = frozenset(["", "storage", "azurewebjobsstorage"])


class TriggerInvalid(SettingsError):
    """A function's trigger or binding cannot be used; the other functions run all the same."""


class Listener(Protocol):
    """Waits for what a function is triggered by, and runs it."""

    @property
    def name(self) -> str:
        """What it listens for, for messages to people."""
        ...

    async def run(self) -> None:
        """Listens until it is cancelled. Storage errors and failing functions are its own business."""
        ...

    async def finish(self, seconds: float) -> None:
        """Called after `run` was cancelled: waits for what is running, gives back what is not done in time."""
        ...


@dataclass(frozen=True)
class TriggerContext:
    """What all triggers of an app share."""

    account: Account
    clock: Clock
    worker: Worker
    client_of: Callable[[FunctionInfo], str | None]  # a function's durable client
    host_id: str = "lab"  # the same for all hosts of one app
    environment: Mapping[str, str] = field(default_factory=dict)
    host_json: Mapping[str, Any] = field(default_factory=dict)
    lease_seconds: int = 15

    def setting(self, name: str) -> str | None:
        """An app setting, from local.settings.json or the environment."""
        return self.environment.get(name, os.environ.get(name))

    def resolve(self, text: str) -> str:
        """A binding's text with %NAME% replaced by the app setting. SettingsError: there is none."""
        return resolve(text, self.environment)


def trigger_of(function: FunctionInfo) -> dict[str, Any]:
    """The trigger's binding."""
    return next(binding for binding in function.bindings if binding["type"] == function.trigger)


def function_id(function: FunctionInfo) -> str:
    """A function's name as the host writes it into locks, timers' status and receipts."""
    return f"Host.Functions.{function.name}"


def host_id(environment: Mapping[str, str], hub: str) -> str:
    """What hosts of one app share: AzureFunctionsWebHost__hostid, the site's name, or else the hub's.

    At most 32 small letters, digits and dashes, as the platform cuts it.
    """
    said = environment.get("AzureFunctionsWebHost__hostid") or environment.get("WEBSITE_SITE_NAME") or hub
    return re.sub(r"[^a-z0-9-]", "", said.lower())[:32].strip("-") or "lab"


def foreign_connection(binding: Mapping[str, Any]) -> str | None:
    """The name of a binding's connection when it is not the host's own account."""
    name = str(binding.get("connection") or "")
    return None if name.lower() in OWN_CONNECTIONS else name


def span_of(place: Mapping[str, Any], name: str, where: str, default: timedelta) -> timedelta:
    """A time span of host.json, zero included. SettingsError: it is none."""
    found = value(place, name, None)
    if found is None:
        return default
    try:
        span = parse_timespan(str(found))
    except ValueError:
        span = timedelta(-1)
    if span < timedelta(0):
        raise SettingsError(f"host.json: {where}.{name} is {found!r}; a time span such as 00:00:30 is expected.")
    return span
