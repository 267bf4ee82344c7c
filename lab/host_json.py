"""Reads host.json: its JSON, its units, and the Durable extension's section with the platform's defaults."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.errors import HubNameNotAllowed, NotJson, SettingsError

CORES = os.cpu_count() or 1
DEFAULT_HUB = "TestHubName"

# Every setting of the extension's 2.x and 3.x lines; what the lab has no use for is accepted in silence.
DURABLE_SETTINGS = frozenset(
    """
    hubName storageProvider tracing notifications httpSettings maxConcurrentActivityFunctions
    maxConcurrentOrchestratorFunctions maxConcurrentEntityFunctions maxOrchestrationActions localRpcEndpointEnabled
    extendedSessionsEnabled extendedSessionIdleTimeoutInSeconds overridableExistingInstanceStates
    entityMessageReorderWindowInMinutes maxEntityOperationBatchSize storeInputsInOrchestrationHistory
    throwStatusExceptionsOnRaiseEvent useGracefulShutdown rollbackEntityOperationsOnExceptions useAppLease
    appLeaseOptions maxGrpcMessageSizeInBytes grpcHttpClientTimeout customLifeCycleNotificationHelperType
    defaultVersion versionMatchStrategy versionFailureStrategy
    """.lower().split()
)
STORAGE_SETTINGS = frozenset(
    """
    type connectionName connectionStringName partitionCount controlQueueBatchSize controlQueueBufferThreshold
    controlQueueVisibilityTimeout workItemQueueVisibilityTimeout maxQueuePollingInterval trackingStoreConnectionName
    trackingStoreConnectionStringName trackingStoreNamePrefix fetchLargeMessagesAutomatically
    useLegacyPartitionManagement useTablePartitionManagement allowReplayingTerminalInstances
    queueClientMessageEncoding useInstanceTableEtag
    """.lower().split()
)
LEASE_SETTINGS = frozenset(["acquireinterval", "renewinterval", "leaseinterval"])


@dataclass(frozen=True)
class AppLease:
    """host.json's appLeaseOptions."""

    acquire_interval: timedelta = timedelta(seconds=300)
    renew_interval: timedelta = timedelta(seconds=25)
    lease_interval: timedelta = timedelta(seconds=60)


@dataclass(frozen=True)
class DurableSettings:
    """host.json's extensions.durableTask."""

    hub: str = DEFAULT_HUB
    connection: str = "Storage"  # as it appears in management links
    storage_type: str = "azureStorage"
    partition_count: int = 4
    control_queue_batch_size: int = 32
    control_queue_buffer_threshold: int = 256
    # The platform's default is 5 minutes. What a killed host held becomes visible only then, so the lab waits less;
    # a value in host.json is kept.
    control_queue_visibility: timedelta = timedelta(seconds=10)
    work_item_queue_visibility: timedelta = timedelta(seconds=10)
    max_queue_polling_interval: timedelta = timedelta(seconds=30)
    max_concurrent_activities: int = 10 * CORES
    max_concurrent_orchestrators: int = 10 * CORES
    max_concurrent_entities: int = 10 * CORES
    use_app_lease: bool = True
    app_lease: AppLease = AppLease()
    overridable_states: str = "NonRunningStates"
    store_inputs_in_history: bool = False
    extended_sessions: bool = False
    max_entity_batch: int = 50
    tracking_store_prefix: str | None = None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a settings file, {} when there is no such file. NotJson, SettingsError."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotJson(path, error.lineno, error.colno, error.msg) from error
    if not isinstance(found, dict):
        raise NotJson(path, 1, 1, f"an object is expected, not {type(found).__name__}")
    return found


def parse_timespan(text: str) -> timedelta:
    """A .NET TimeSpan: [-][d.]hh:mm[:ss[.fffffff]], or a whole number of days. ValueError: it is none."""
    match = re.fullmatch(r"(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?", text.strip())
    if match is None:
        if re.fullmatch(r"\d+", text.strip()):
            return timedelta(days=int(text))
        raise ValueError(f"{text!r} is no time span such as 00:05:00")
    minus, days, hours, minutes, seconds, fraction = match.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
        raise ValueError(f"{text!r} is no time span: hours go to 23, minutes and seconds to 59")
    span = timedelta(
        days=int(days or 0),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(7, "0")) // 10,
    )
    return -span if minus else span


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """The text with %NAME% replaced by the app setting NAME. SettingsError: there is no such setting."""

    def swap(match: re.Match[str]) -> str:
        found = environment.get(match.group(1), os.environ.get(match.group(1)))
        if found is None:
            raise SettingsError(
                f"{text!r} refers to the app setting {match.group(1)}, which is not set. "
                "Add it to Values in local.settings.json or to the environment."
            )
        return found

    return re.sub(r"%([^%\s]+)%", swap, text)


def check_hub_name(name: str) -> str:
    """An explicit hub name that queues, tables and containers can carry. HubNameNotAllowed."""
    rule = "Use 3 to 45 letters and digits that begin with a letter (hubName in host.json)."
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", name):
        raise HubNameNotAllowed(f"The task hub cannot be called {name!r}: {_hub_fault(name)}. {rule}")
    return name


def default_hub_name(site_name: str | None) -> str:
    """The hub's name when host.json gives none: the site's, with what a hub's name may not hold left out."""
    if site_name is None:
        return DEFAULT_HUB
    name = re.sub(r"[^A-Za-z0-9]", "", site_name) or "DefaultTaskHub"
    if name[0].isdigit():
        name = "t" + name
    name = name[:45]
    return name if len(name) >= 3 else name + "Hub"


def _hub_fault(name: str) -> str:
    if len(name) < 3:
        return "it is too short"
    if len(name) > 45:
        return f"it has {len(name)} characters"
    if not name[0].isascii() or not name[0].isalpha():
        return "it does not begin with a letter"
    wrong = next(letter for letter in name if not (letter.isascii() and letter.isalnum()))
    return f"it contains {wrong!r}"


def read_durable(durable: Mapping[str, Any], environment: Mapping[str, str], notes: list[str]) -> DurableSettings:
    """The settings of extensions.durableTask; what is unknown or not run here becomes a note. SettingsError."""
    storage = section(durable, "storageProvider")
    lease = section(durable, "appLeaseOptions")
    read = _Reader(durable, "durableTask", environment)
    store = _Reader(storage, "durableTask.storageProvider", environment)
    kind = store.text("type", "azureStorage")
    _report_unknown(durable, "durableTask", DURABLE_SETTINGS, notes)
    _report_unknown(lease, "durableTask.appLeaseOptions", LEASE_SETTINGS, notes)
    if kind.lower() == "azurestorage":
        _report_unknown(storage, "durableTask.storageProvider", STORAGE_SETTINGS, notes)
    else:
        notes.append(f"host.json: storage provider {kind} is not run here; the local account stands in for it.")
    settings = DurableSettings(
        hub=_hub(read.text("hubName", ""), environment),
        connection=store.text("connectionName", store.text("connectionStringName", "Storage")),
        storage_type=kind,
        overridable_states=read.choice("overridableExistingInstanceStates", ("NonRunningStates", "AnyState")),
        max_concurrent_activities=read.number("maxConcurrentActivityFunctions", 10 * CORES, 1),
        max_concurrent_orchestrators=read.number("maxConcurrentOrchestratorFunctions", 10 * CORES, 1),
        max_concurrent_entities=read.number("maxConcurrentEntityFunctions", 10 * CORES, 1),
        use_app_lease=read.flag("useAppLease", True),
        app_lease=_app_lease(lease, environment),
        store_inputs_in_history=read.flag("storeInputsInOrchestrationHistory", False),
        extended_sessions=read.flag("extendedSessionsEnabled", False),
        max_entity_batch=read.number("maxEntityOperationBatchSize", 50, 1),
    )
    return _with_storage(settings, store) if kind.lower() == "azurestorage" else settings


def _with_storage(settings: DurableSettings, store: _Reader) -> DurableSettings:
    return replace(
        settings,
        partition_count=store.number("partitionCount", 4, 1, 16),
        control_queue_batch_size=store.number("controlQueueBatchSize", 32, 1, 32),
        control_queue_buffer_threshold=store.number("controlQueueBufferThreshold", 256, 1),
        control_queue_visibility=store.span("controlQueueVisibilityTimeout", settings.control_queue_visibility),
        work_item_queue_visibility=store.span("workItemQueueVisibilityTimeout", settings.work_item_queue_visibility),
        max_queue_polling_interval=store.span("maxQueuePollingInterval", settings.max_queue_polling_interval),
        tracking_store_prefix=store.text("trackingStoreNamePrefix", "") or None,
    )


def _app_lease(options: Mapping[str, Any], environment: Mapping[str, str]) -> AppLease:
    read = _Reader(options, "durableTask.appLeaseOptions", environment)
    default = AppLease()
    return AppLease(
        acquire_interval=read.span("acquireInterval", default.acquire_interval),
        renew_interval=read.span("renewInterval", default.renew_interval),
        lease_interval=read.span("leaseInterval", default.lease_interval),
    )


def _hub(configured: str, environment: Mapping[str, str]) -> str:
    if configured:
        return check_hub_name(configured)
    return default_hub_name(environment.get("WEBSITE_SITE_NAME"))


def _report_unknown(found: Mapping[str, Any], where: str, known: frozenset[str], notes: list[str]) -> None:
    unknown = [name for name in found if name.lower() not in known]
    if unknown:
        notes.append(f"host.json: {where} has no setting {', '.join(unknown)}; it is ignored. Check the spelling.")


@dataclass(frozen=True)
class _Reader:
    """Reads typed values of one section of host.json; what is wrong is said with the section's name."""

    section: Mapping[str, Any]
    where: str
    environment: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        found = self._raw(name)
        if found is None:
            return default
        if not isinstance(found, str):
            raise self._wrong(name, found, "a text")
        return found

    def flag(self, name: str, default: bool) -> bool:
        found = self._raw(name)
        if isinstance(found, str) and found.lower() in ("true", "false"):
            return found.lower() == "true"
        if found is None or isinstance(found, bool):
            return default if found is None else found
        raise self._wrong(name, found, "true or false")

    def number(self, name: str, default: int, lowest: int, highest: int | None = None) -> int:
        return number(self.section, name, f"host.json: {self.where}", default, lowest, highest)

    def span(self, name: str, default: timedelta) -> timedelta:
        found = self._raw(name)
        if found is None:
            return default
        try:
            span = parse_timespan(str(found))
        except ValueError as error:
            raise self._wrong(name, found, "a time span such as 00:05:00") from error
        if span <= timedelta(0):
            raise self._wrong(name, found, "a time span above zero")
        return span

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        found = self.text(name, allowed[0])
        for one in allowed:
            if one.lower() == found.lower():
                return one
        raise self._wrong(name, found, " or ".join(allowed))

    def _raw(self, name: str) -> Any:
        found = value(self.section, name, None)
        return resolve(found, self.environment) if isinstance(found, str) else found

    def _wrong(self, name: str, found: object, expected: str) -> SettingsError:
        return SettingsError(f"host.json: {self.where}.{name} is {found!r}; {expected} is expected.")


def number(
    place: Mapping[str, Any], name: str, where: str, default: int, lowest: int, highest: int | None = None
) -> int:
    """A whole number of a section, its name in any letters. SettingsError: it is none, or out of bounds."""
    found = value(place, name, None)
    if found is None:
        return default
    if isinstance(found, str) and re.fullmatch(r"-?\d+", found.strip()):
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or found < lowest or (highest and found > highest):
        limits = f"from {lowest} to {highest}" if highest else f"of {lowest} or more"
        raise SettingsError(f"{where}.{name} is {found!r}; a whole number {limits} is expected.")
    return found


def key_of(place: Mapping[str, Any], name: str) -> str | None:
    """The key that equals the name but for its letters' case."""
    return next((key for key in place if key.lower() == name.lower()), None)


def value(place: Mapping[str, Any], name: str, default: Any) -> Any:
    """The value under a name in any letters."""
    key = key_of(place, name)
    return default if key is None else place[key]


def section(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The object at a path of names in any letters, {} when it is not there. SettingsError: it is no object."""
    place: Any = document
    for name in names:
        place = value(place, name, None)
        if place is None:
            return {}
        if not isinstance(place, dict):
            raise SettingsError(f"{name} in the settings is {place!r}; an object is expected.")
    return dict(place)
