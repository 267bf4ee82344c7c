"""A small Azure to practise on: one account, two regions, long operations, faults on demand, and a clock of its own.

It imitates what the commands depend on: 202 with `Location` and `Retry-After`, statistics that a locally redundant
account refuses, conversions that show late, apps that change state a little later, regions whose management plane is
silent, and answers that get lost. It also keeps what must never happen: `violations`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from recovery.arm import Response
from recovery.azure_resources import DATA_ROLES
from recovery.fence import RECORD
from recovery.journal import DEFAULT_HUB
from recovery.records import RecordsUnreachable
from recovery.records_fake import FakeRecords, Stored

START = datetime(2026, 1, 2, 3, 0, 0, tzinfo=timezone.utc)
APP_SECONDS = 15
FAILOVER_SHOWS_SECONDS = 30
CONVERSION_SHOWS_SECONDS = 300
BOOTSTRAP_SECONDS = 5400
UNPLANNED_SECONDS = 1500
PLANNED_SECONDS = 2100
LAG_SECONDS = 40
GEO = {"Standard_RAGRS", "Standard_RAGZRS", "Standard_GRS", "Standard_GZRS"}
SITES = {"func-weu-fake": "westeurope", "func-neu-fake": "northeurope"}
PRINCIPALS = {"westeurope": "principal-weu", "northeurope": "principal-neu"}

VALUES = {
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-00000000fa4e",
    "AZURE_STATE_RESOURCE_GROUP": "rg-fake-state",
    "AZURE_PRIMARY_RESOURCE_GROUP": "rg-fake-weu",
    "AZURE_STANDBY_RESOURCE_GROUP": "rg-fake-neu",
    "AZURE_PRIMARY_LOCATION": "westeurope",
    "AZURE_STANDBY_LOCATION": "northeurope",
    "STORAGE_ACCOUNT_NAME": "stfake",
    "SERVICE_ORCHESTRATOR_PRIMARY_NAME": "func-weu-fake",
    "SERVICE_ORCHESTRATOR_PRIMARY_HOSTNAME": "func-weu-fake.example",
    "SERVICE_ORCHESTRATOR_PRIMARY_PRINCIPAL_ID": "principal-weu",
    "SERVICE_ORCHESTRATOR_STANDBY_NAME": "func-neu-fake",
    "SERVICE_ORCHESTRATOR_STANDBY_HOSTNAME": "func-neu-fake.example",
    "SERVICE_ORCHESTRATOR_STANDBY_PRINCIPAL_ID": "principal-neu",
    "ACTIVE_REGION": "primary",
    "STORAGE_SKU": "Standard_RAGRS",
    "DEPLOY_SECONDARY_ENDPOINTS": "true",
    "FENCED_REGION": "none",
    "JOURNAL_ACCOUNT_NAME": "stjfake",
}


class Killed(BaseException):
    """The process was killed here."""


class FakeClock:
    """Time passes when somebody waits."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=max(seconds, 0.001))


class FakeCredential:
    """A token that is always accepted, until `signed_in` is false."""

    signed_in = True

    def token(self, renew: bool = False) -> str:
        from recovery.operator_errors import NotLoggedIn

        if not self.signed_in:
            raise NotLoggedIn(
                "Nobody is signed in to Azure on this machine. Sign in with: azd auth login (or az login)"
            )
        return "fake"


def _all_roles() -> list[dict[str, Any]]:
    return [
        {"name": f"{principal}-{role}", "properties": {"principalId": principal, "roleDefinitionId": f"/roles/{role}"}}
        for principal in PRINCIPALS.values()
        for role in DATA_ROLES
    ]


@dataclass
class World:
    """Everything that is true; times are seconds since START."""

    primary: str = "westeurope"
    secondary: str = "northeurope"
    sku: str = "Standard_RAGRS"
    geo_status: str = "Live"
    lag_seconds: float = LAG_SECONDS
    sync_known: bool = True
    synced_until: float | None = None
    failing_over: dict[str, Any] | None = None
    converting: dict[str, Any] | None = None
    apps: dict[str, str] = field(default_factory=lambda: {"func-weu-fake": "Running", "func-neu-fake": "Stopped"})
    changing: dict[str, list[Any]] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    roles: list[dict[str, Any]] = field(default_factory=_all_roles)
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    journal: dict[str, str] = field(default_factory=dict)
    journal_silent: bool = False
    storage_silent: bool = False
    planned_blocked: bool = False
    seconds: float = 0


class FakeAzure:
    """Answers the requests that the commands send."""

    def __init__(self, clock: FakeClock, world: World | None = None) -> None:
        self.clock = clock
        self.world = world or World()
        self.violations: list[str] = []
        self.calls: list[str] = []
        self.faults: dict[int, str] = {}
        self.conversion_seconds = (CONVERSION_SHOWS_SECONDS, BOOTSTRAP_SECONDS)
        self.failover_seconds = {True: PLANNED_SECONDS, False: UNPLANNED_SECONDS}

    # The transport

    def send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Response:
        """One request, with the fault that was ordered for its number, if any."""
        number = len(self.calls)
        parsed = urlparse(url)
        self.calls.append(f"{method} {parsed.path}{'?' + parsed.query if 'failoverType' in url else ''}")
        fault = self.faults.get(number, "")
        self._before(fault)
        if fault in ("401", "429", "503") or (fault == "404" and self._may_miss(method, parsed.path)):
            return Response(int(fault), {"retry-after": "5"}, _error("Transient", fault))
        self.settle()
        answer = self._route(
            method, parsed.netloc, parsed.path, {k: v[0] for k, v in parse_qs(parsed.query).items()}, body
        )
        self._after(fault)
        return answer

    def _may_miss(self, method: str, path: str) -> bool:
        """Reads of what is being moved are not found now and then."""
        moving = self.world.failing_over is not None and path.endswith("/storageAccounts/stfake")
        return method == "GET" and ("/operations/" in path or moving)

    def _before(self, fault: str) -> None:
        if fault == "kill before":
            raise Killed
        if fault == "drop before":
            raise ConnectionError("no answer")

    def _after(self, fault: str) -> None:
        if fault == "kill after":
            raise Killed
        if fault == "drop after":
            raise ConnectionError("the answer was lost")

    def _route(self, method: str, host: str, path: str, query: dict[str, str], body: Any) -> Response:
        if host != "management.azure.com":
            return self._app_request(method, host, path, query, body)
        if VALUES["AZURE_SUBSCRIPTION_ID"] not in path:
            return Response(404, {}, _error("SubscriptionNotFound", "The subscription could not be found."))
        for part, handler in self._handlers().items():
            if part in path:
                return handler(method, path, query, body)
        return Response(404, {}, _error("ResourceNotFound", path))

    def _handlers(self) -> dict[str, Callable[[str, str, dict[str, str], Any], Response]]:
        return {
            "/operations/": self._operation,
            "/roleAssignments": self._roles,
            "/sites/": self._site,
            "/storageAccounts": self._account,
        }

    # Time

    def settle(self) -> None:
        """Lets everything happen that is due."""
        world = self.world
        world.seconds = (self.clock.now() - START).total_seconds()
        for site, (state, due) in list(world.changing.items()):
            if due <= world.seconds and SITES[site] not in world.lost:
                del world.changing[site]
                self._become(site, state)
        if world.failing_over and world.failing_over["due"] <= world.seconds:
            self._finish_failover(world.failing_over)
        if world.converting and world.converting["live"] <= world.seconds:
            world.converting, world.geo_status = None, "Live"
        elif world.converting and world.converting["shows"] <= world.seconds:
            world.sku, world.geo_status = world.converting["sku"], "Bootstrap"
            world.secondary = next(place for place in PRINCIPALS if place != world.primary)

    def _become(self, site: str, state: str) -> None:
        self.world.apps[site] = state
        if state == "Running":
            if len(self.running()) > 1:
                self.violations.append("both apps run")
            if self._fenced_out(site):
                self.violations.append(f"{site} started while the fence lets another region work")
            if self.world.primary != SITES[site]:
                self.violations.append(f"{site} started before the account was in {SITES[site]}")

    def _fenced_out(self, site: str) -> bool:
        record = json.loads(self.world.journal.get(f"{DEFAULT_HUB}/{RECORD}", "null"))
        return record is not None and record["region"] != SITES[site]

    def running(self) -> list[str]:
        """Apps that run, in a region that is there, with rights on the data."""
        world = self.world
        return [
            s
            for s, state in world.apps.items()
            if state == "Running" and SITES[s] not in world.lost and self._has_rights(s)
        ]

    def _has_rights(self, site: str) -> bool:
        principal = PRINCIPALS[SITES[site]]
        return any(row["properties"]["principalId"] == principal for row in self.world.roles)

    def _finish_failover(self, failover: dict[str, Any]) -> None:
        world = self.world
        old, world.primary = world.primary, world.secondary
        world.failing_over = None
        if failover["planned"]:
            world.secondary, world.synced_until = old, None
        else:
            world.secondary, world.sku, world.geo_status = "", "Standard_LRS", ""
            kept = failover["synced"]
            world.instances = {k: v for k, v in world.instances.items() if v["created"] <= kept}
            world.synced_until = None

    def _synced(self) -> float:
        world = self.world
        return world.synced_until if world.synced_until is not None else world.seconds - world.lag_seconds

    # Disasters

    def lose_region(self, location: str) -> None:
        """The region is gone: its apps do nothing, its management is silent, nothing more is copied from it."""
        self.settle()
        self.world.lost.append(location)
        self.world.silent.append(location)
        if self.world.primary == location:
            self.world.synced_until = self._synced()

    def bring_back(self, location: str) -> None:
        """The region returns, with its apps as they were."""
        self.settle()
        self.world.lost = [place for place in self.world.lost if place != location]
        self.world.silent = [place for place in self.world.silent if place != location]
        self.world.synced_until = None
        if len(self.running()) > 1:
            self.violations.append("both apps run")

    # Resources

    def _account(self, method: str, path: str, query: dict[str, str], body: Any) -> Response:
        if self.world.storage_silent:
            return Response(503, {"retry-after": "5"}, _error("ServiceUnavailable", "try later"))
        if path.endswith("/rg-fake-state/providers/Microsoft.Storage/storageAccounts"):
            return Response(200, {}, {"value": [{"location": "westeurope", **self._account_body(False)}]})
        if not path.endswith("/stfake") and not path.endswith("/failover"):
            return Response(404, {}, _error("ResourceNotFound", path))
        if method == "POST":
            return self._fail_over(query.get("failoverType") == "Planned")
        if method == "PATCH":
            return self._convert(body["sku"]["name"])
        if "$expand" in query and self.world.sku not in GEO:
            return Response(400, {}, _error("InvalidValuesForRequestParameters", "The account is not geo-redundant."))
        return Response(200, {}, self._account_body("$expand" in query))

    def _account_body(self, expanded: bool) -> dict[str, Any]:
        world = self.world
        properties: dict[str, Any] = {
            "primaryLocation": world.primary,
            "statusOfPrimary": "unavailable" if world.primary in world.lost else "available",
            "failoverInProgress": bool(world.failing_over and world.failing_over["shows"] <= world.seconds),
        }
        if world.secondary:
            properties["secondaryLocation"] = world.secondary
        if world.converting and world.sku != world.converting["sku"]:
            properties["storageAccountSkuConversionStatus"] = {"skuConversionStatus": "InProgress"}
        if expanded:
            properties["geoReplicationStats"] = self._geo_statistics()
        return {"sku": {"name": world.sku}, "properties": properties}

    def _geo_statistics(self) -> dict[str, Any]:
        world = self.world
        live = world.geo_status == "Live"
        synced = START + timedelta(seconds=self._synced())
        known = world.sync_known and live and not world.failing_over
        return {
            "status": world.geo_status,
            "lastSyncTime": synced.strftime("%Y-%m-%dT%H:%M:%S.0000000Z") if known else None,
            "canFailover": live and not world.failing_over,
            "canPlannedFailover": live and not world.planned_blocked and not world.lost,
        }

    def _fail_over(self, planned: bool) -> Response:
        world = self.world
        if world.failing_over:
            return Response(409, {}, _error("FailoverInProgress", "A failover is already in progress."))
        if world.sku not in GEO or world.geo_status != "Live" or world.converting:
            return Response(400, {}, _error("FailoverNotAllowed", "The account has no live secondary."))
        if planned and (world.lost or world.planned_blocked):
            return Response(400, {}, _error("PlannedFailoverNotAllowed", "Both regions must be available."))
        due = world.seconds + self.failover_seconds[planned]
        shows = world.seconds + FAILOVER_SHOWS_SECONDS
        world.failing_over = {"planned": planned, "due": due, "shows": shows, "synced": self._synced()}
        name = f"op{len(world.operations)}"
        world.operations[name] = due
        location = f"https://management.azure.com/subscriptions/{VALUES['AZURE_SUBSCRIPTION_ID']}/operations/{name}"
        return Response(202, {"location": location, "retry-after": "17"})

    def _operation(self, method: str, path: str, query: dict[str, str], body: Any) -> Response:
        due = self.world.operations[path.rsplit("/", 1)[1]]
        return Response(200) if due <= self.world.seconds else Response(202, {"retry-after": "30"})

    def _convert(self, sku: str) -> Response:
        world = self.world
        if world.failing_over or world.converting:
            return Response(409, {}, _error("OperationInProgress", "Another operation is in progress."))
        if sku == "Standard_RAGZRS" and world.primary == "northeurope":
            return Response(400, {}, _error("SkuConversionNotAllowed", "Zones only in the original region."))
        shows = world.seconds + self.conversion_seconds[0]
        world.converting = {"sku": sku, "shows": shows, "live": shows + self.conversion_seconds[1]}
        return Response(200, {}, self._account_body(False))

    def _site(self, method: str, path: str, query: dict[str, str], body: Any) -> Response:
        site = path.split("/sites/")[1].split("/")[0]
        if site not in SITES:
            return Response(404, {}, _error("ResourceNotFound", path))
        if SITES[site] in self.world.silent:
            return Response(503, {"retry-after": "5"}, _error("ServiceUnavailable", "try later"))
        if method == "POST":
            state = "Stopped" if path.endswith("/stop") else "Running"
            self.world.changing[site] = [state, self.world.seconds + APP_SECONDS]
            return Response(200)
        return Response(200, {}, {"properties": {"state": self.world.apps[site], "enabled": True}})

    def _roles(self, method: str, path: str, query: dict[str, str], body: Any) -> Response:
        world, name = self.world, path.rsplit("/", 1)[1]
        if method == "DELETE":
            world.roles = [row for row in world.roles if row["name"] != name]
            return Response(200)
        if method == "PUT":
            if any(row["name"] == name for row in world.roles):
                return Response(409, {}, _error("RoleAssignmentExists", "The role assignment already exists."))
            world.roles.append({"name": name, "properties": dict(body["properties"])})
            return Response(201)
        principal = query.get("$filter", "").split("'")[1]
        return Response(200, {}, {"value": [r for r in world.roles if r["properties"]["principalId"] == principal]})

    # The app, as far as a drill talks to it

    def _app_request(self, method: str, host: str, path: str, query: dict[str, str], body: Any) -> Response:
        site, world = host.split(".")[0], self.world
        if SITES[site] in world.lost:
            raise ConnectionError("no route to host")
        if world.apps[site] != "Running":
            return Response(403)
        if path == "/api/health":
            return Response(200)
        if world.failing_over or world.primary in world.lost:
            return Response(503)
        return self._orchestrations(path, query, body)

    def _orchestrations(self, path: str, query: dict[str, str], body: Any) -> Response:
        instances, last = self.world.instances, path.rsplit("/", 1)[1]
        if path.startswith("/api/orchestrators/"):
            instances.setdefault(query["id"], {"created": self.world.seconds, "runtimeStatus": "Running"})
            return Response(202, {}, {"id": query["id"]})
        name = body["instanceId"] if last == "SendExternalEvent" else last
        if name not in instances:
            return Response(404, {}, {"error": f"There is no instance {name}."})
        if last == "SendExternalEvent":
            instances[name].update(runtimeStatus="Completed", output=body["data"])
            return Response(202)
        return Response(200, {}, instances[name])

    # The journal's account

    def records(self, place: str) -> FakeRecords:
        """What the account of that name keeps."""
        assert place == f"identity:{VALUES['JOURNAL_ACCOUNT_NAME']}"
        return FakeRecords(self.stored)

    def stored(self, method: str, name: str, change: Callable[[Stored], Any]) -> Any:
        """One request to the journal's account, with its fault; the client's own retries have been in vain then."""
        fault = self.faults.get(len(self.calls), "")
        self.calls.append(f"{method} journal/{name}")
        if self.world.journal_silent or fault.isdigit():
            raise RecordsUnreachable("the journal in stjfake does not answer: Public access is not permitted")
        try:
            self._before(fault)
            self.settle()
            found = change(self.world.journal)
            self._after(fault)
        except ConnectionError as error:
            raise RecordsUnreachable(f"the journal in stjfake does not answer: {error}") from error
        return found

    # Kept between commands

    def save(self, path: Path) -> None:
        """Keeps the world and its time, for the next command of a demonstration."""
        self.settle()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self.world)), encoding="utf-8")


def load(path: Path) -> FakeAzure:
    """The world of the last command, or a fresh one in which the primary works."""
    world = World(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else World()
    return FakeAzure(FakeClock(START + timedelta(seconds=world.seconds)), world)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def fault_names() -> Iterator[str]:
    """Every fault that can be ordered for a request."""
    yield from ("401", "404", "429", "503", "drop before", "drop after", "kill before", "kill after")
