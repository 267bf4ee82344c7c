"""The few calls that the commands make: read the account and the apps, fail over, convert, stop, start, fence.

Every changing call goes through `change`, so that a dry run can list them without making any.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from recovery import operator_errors as errors
from recovery.arm import Arm
from recovery.azd_environment import SUBSCRIPTION, Environment
from recovery.regions import GEO, Account, App, Observation, Region

STORAGE_API = "2025-06-01"
WEB_API = "2025-03-01"
AUTHORIZATION_API = "2022-04-01"
DATA_ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
}


class Azure:
    """One deployment's resources."""

    def __init__(self, arm: Arm, environment: Environment) -> None:
        self.arm = arm
        self.home = environment.region("primary")
        self.standby = environment.region("standby")
        group, account = environment.need("AZURE_STATE_RESOURCE_GROUP"), environment.need("STORAGE_ACCOUNT_NAME")
        self.account_path = f"resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}"
        self.account_name = account
        self._subscription = environment.need(SUBSCRIPTION)

    def region(self, role: str) -> Region:
        return self.home if role == "primary" else self.standby

    # Reading

    def observe(self) -> Observation:
        """The account and both apps; what does not answer is None or UNKNOWN. Raises for a wrong subscription."""
        apps = {region.role: self.app(region) for region in (self.home, self.standby)}
        return Observation(self.home, self.standby, self.account(), apps, self.fenced())

    def account(self) -> Account | None:
        """The account; None when its management plane does not answer.

        Raises NotVisible when the account or the subscription cannot be seen.
        """
        try:
            return _account(self._account_body())
        except errors.ArmUnavailable:
            return None
        except errors.NotFound as error:
            raise errors.NotVisible(
                f"The account {self.account_name} is not in subscription {self._subscription} ({error.code}). "
                "Check azd env get-values and the account you are signed in with: az account show"
            ) from error

    def _account_body(self) -> Any:
        # Asking a locally redundant account for its geo statistics is an error, so its SKU is read first.
        plain = self.arm.get(self._account_url())
        if plain["sku"]["name"] not in GEO:
            return plain
        try:
            return self.arm.get(self._account_url("geoReplicationStats"))
        except errors.ArmError as error:
            # It became locally redundant in between.
            if error.status != 400:
                raise
            return plain

    def _account_url(self, expand: str = "") -> str:
        return self.arm.url(self.account_path, STORAGE_API, **{"$expand": expand})

    def app(self, region: Region) -> App:
        """The app's state; UNKNOWN when the management plane does not answer."""
        try:
            body = self.arm.get(self.arm.url(self._site(region), WEB_API), tries=3)
        except errors.ArmUnavailable:
            return App.UNKNOWN
        except errors.NotFound as error:
            raise errors.NotVisible(
                f"The app {region.site} is not in subscription {self._subscription} ({error.code}). "
                "Check azd env get-values and the account you are signed in with: az account show"
            ) from error
        state = body["properties"].get("state", "")
        return App.STOPPED if state == "Stopped" else App.RUNNING if state == "Running" else App.UNKNOWN

    def _site(self, region: Region) -> str:
        return f"resourceGroups/{region.group}/providers/Microsoft.Web/sites/{region.site}"

    # Changing

    def stop(self, region: Region) -> None:
        self.arm.request("POST", self.arm.url(f"{self._site(region)}/stop", WEB_API), tries=3)

    def start(self, region: Region) -> None:
        self.arm.request("POST", self.arm.url(f"{self._site(region)}/start", WEB_API))

    def fail_over(self, planned: bool) -> str:
        """Begins a failover; the address to ask for its end. The kind is always said, never defaulted."""
        # Without failoverType it is an unplanned one. Tried once, because a repetition would be a second failover.
        url = self.arm.url(f"{self.account_path}/failover", STORAGE_API, failoverType="Planned" if planned else "")
        answer = self.arm.request("POST", url, tries=1)
        return answer.headers.get("azure-asyncoperation") or answer.headers.get("location", "")

    def convert(self, sku: str) -> None:
        """Changes the redundancy; the conversion goes on after the answer."""
        self.arm.request("PATCH", self._account_url(), {"sku": {"name": sku}})

    # Fencing: the rights of one region's identity on the account's data

    def data_roles(self, region: Region) -> list[dict[str, Any]]:
        """The region's role assignments on the account, as they were made."""
        url = self.arm.url(self._roles(), AUTHORIZATION_API, **{"$filter": f"principalId eq '{region.principal_id}'"})
        rows = self.arm.get(url, tries=3)["value"]
        return [row for row in rows if row["properties"]["roleDefinitionId"].rsplit("/", 1)[1] in DATA_ROLES]

    def fenced(self) -> frozenset[str]:
        """Roles of the regions without any right on the data; empty when that cannot be read."""
        try:
            return frozenset(r.role for r in (self.home, self.standby) if not self.data_roles(r))
        except errors.OperatorError:
            return frozenset()

    def remove_role(self, assignment: dict[str, Any]) -> None:
        self.arm.request("DELETE", self.arm.url(f"{self._roles()}/{assignment['name']}", AUTHORIZATION_API))

    def give_role(self, assignment: dict[str, Any]) -> None:
        kept = {k: assignment["properties"][k] for k in ("roleDefinitionId", "principalId")}
        body = {"properties": {**kept, "principalType": "ServicePrincipal"}}
        url = self.arm.url(f"{self._roles()}/{assignment['name']}", AUTHORIZATION_API)
        try:
            self.arm.request("PUT", url, body)
        except errors.ArmError as error:
            if error.code != "RoleAssignmentExists":
                raise

    def _roles(self) -> str:
        return f"{self.account_path}/providers/Microsoft.Authorization/roleAssignments"


def find_account(arm: Arm, group: str, location: str) -> Account | None:
    """The account of a deployment whose names are not known here; None when there is none yet.

    An account's location is where it was created, whatever has been failed over since.
    """
    url = arm.url(f"resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts", STORAGE_API)
    try:
        rows = arm.get(url)["value"]
    except errors.NotFound:
        return None
    return next((_account(row) for row in rows if row["location"] == location), None)


def _account(body: dict[str, Any]) -> Account:
    properties = body["properties"]
    stats = properties.get("geoReplicationStats") or {}
    conversion = properties.get("storageAccountSkuConversionStatus") or {}
    return Account(
        primary_location=properties["primaryLocation"],
        secondary_location=properties.get("secondaryLocation") or "",
        sku=body["sku"]["name"],
        status_of_primary=properties.get("statusOfPrimary", "available"),
        failover_in_progress=bool(properties.get("failoverInProgress")),
        converting=conversion.get("skuConversionStatus") == "InProgress",
        geo_status=stats.get("status", ""),
        last_sync=_time(stats.get("lastSyncTime")),
        can_fail_over=stats.get("canFailover"),
        can_fail_over_planned=stats.get("canPlannedFailover"),
    )


def _time(text: str | None) -> datetime | None:
    # Azure writes up to seven digits of a second, Python 3.10 reads six.
    if not text:
        return None
    head, _, fraction = text.replace("Z", "+00:00").partition(".")
    if not fraction:
        return datetime.fromisoformat(head)
    digits, offset = fraction[:-6], fraction[-6:]
    return datetime.fromisoformat(f"{head}.{digits[:6]:0<6}{offset}")
