"""What `azd up` must not undo: compares the environment with what is true, before and after a deployment."""

from __future__ import annotations

from collections.abc import Mapping

from recovery.azd_environment import (
    ACTIVE_REGION,
    FENCED_REGION,
    SECONDARY_ENDPOINTS,
    STORAGE_SKU,
    Environment,
    active_region_value,
)
from recovery.regions import READABLE, Account, App, Observation

ADOPT = "Take over what is true with: python -m recovery status --adopt"


def before_provisioning(environment: Environment, seen: Observation) -> list[str]:
    """Why provisioning would undo a failover; empty when it would not."""
    values, account, region = environment.values, seen.account, seen.account_region
    if account is None or region is None:
        return ["The account does not answer, so nobody knows whether provisioning would undo a failover. Try later."]
    found = account_differences(values, account, region.role)
    unfenced = {active_region_value(role) for role in seen.fenced} - {values.get(FENCED_REGION, "none")}
    found += [
        f"The {name} region is fenced, and provisioning would give its rights back. {ADOPT}"
        for name in sorted(unfenced)
    ]
    return found


def account_differences(values: Mapping[str, str], account: Account, role: str) -> list[str]:
    """Where the environment disagrees with the account, whose primary is in the region with this role."""
    if account.failover_in_progress:
        return ["A failover of the account is in progress. Wait for its end: python -m recovery status --watch"]
    found = []
    active = values.get(ACTIVE_REGION, "primary")
    if active != active_region_value(role):
        found += [f"{ACTIVE_REGION} is {active}, but the account is in {account.primary_location}. {ADOPT}"]
    wanted = values.get(STORAGE_SKU, "Standard_RAGRS")
    if wanted != account.sku:
        found += [f"{STORAGE_SKU} is {wanted}, but the account is {account.sku}. {ADOPT}"]
    if values.get(SECONDARY_ENDPOINTS, "true") == "true" and account.sku not in READABLE:
        found += [f"{SECONDARY_ENDPOINTS} is true, but a {account.sku} account has no readable secondary. {ADOPT}"]
    return found


def after_deployment(environment: Environment, seen: Observation) -> list[str]:
    """What is wrong with the two apps after a deployment."""
    active = environment.values.get(ACTIVE_REGION, "primary")
    found = []
    for region in (seen.home, seen.standby):
        wanted = App.RUNNING if active_region_value(region.role) == active else App.STOPPED
        if seen.apps[region.role] is not wanted:
            found += [
                f"{region.site} in {region.location} is {seen.apps[region.role].value}, not {wanted.value}. "
                "Put it right with: python -m recovery settle --yes"
            ]
    return found
