"""Say what state the two regions are in, and what to type next."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

from recovery.azd_environment import active_region_value
from recovery.regions import READABLE, App, Observation, Verdict, verdict
from recovery.session import Session

WATCH_SECONDS = 30.0


def run(
    session: Session,
    watch: bool = False,
    adopt: bool = False,
    max_lag_seconds: int = 0,
    host_json: Path = Path("host.json"),
) -> int:
    """Prints the state; 0 when it may stay as it is, 1 when somebody has to do something.

    `watch` looks again until the state is fine; `adopt` writes what is true to the environment; with
    `max_lag_seconds` a copy that is further behind counts as something to do.
    """
    while True:
        seen = session.azure.observe()
        found = verdict(seen)
        for line in lines(session, seen, found, host_json):
            session.say(line)
        if not watch or found.fine:
            break
        session.clock.sleep(WATCH_SECONDS)
    if adopt:
        _adopt(session, seen)
    lagging = _lag_line(seen, session.clock.now(), max_lag_seconds) if max_lag_seconds else ""
    if lagging:
        session.say(lagging)
    kept_out = session.fence.contradiction(seen) if session.state.begun is None else ""
    if kept_out:
        session.say(f"  FENCE: {kept_out}")
    return 0 if found.fine and not lagging and not kept_out else 1


def lines(session: Session, seen: Observation, found: Verdict, host_json: Path) -> list[str]:
    """The report, as text."""
    account = seen.account
    report = [f"{found.name.upper()}: {found.meaning}"]
    if account is None:
        report += [f"  account {session.azure.account_name}: the management plane does not answer"]
    else:
        where = f"{account.primary_location} -> {account.secondary_location or 'no second copy'}"
        report += [
            f"  account {session.azure.account_name}: {where}, {account.sku}, {account.geo_status or 'no geo status'}"
        ]
        report += [f"  last sync time: {account.last_sync.isoformat() if account.last_sync else 'unknown'}"]
    for region in (seen.home, seen.standby):
        fenced = ", fenced (no rights on the hub's data)" if region.role in seen.fenced else ""
        report += [f"  {region.role:8} {region.location:12} {region.site}: {seen.apps[region.role].value}{fenced}"]
    report += [f"  {session.fence.line()}"]
    report += _open_matters(session, seen, host_json)
    return [*report, f"  next: {found.next_command}"] if found.next_command else report


def _open_matters(session: Session, seen: Observation, host_json: Path) -> list[str]:
    report = []
    begun = session.state.begun
    if begun is not None:
        report += [
            f"  a {begun.command} began at {begun.started} and has not ended; run it again to go on, "
            "or give it up with: python -m recovery settle"
        ]
    region = seen.account_region
    configured = session.environment.values.get("ACTIVE_REGION", "primary")
    if region is not None and active_region_value(region.role) != configured:
        report += [
            f"  this environment says ACTIVE_REGION={configured}, which is not true: azd up would undo the failover. "
            "Take over what is true with: python -m recovery status --adopt"
        ]
    if App.RUNNING in seen.apps.values():
        report += _lease_line(host_json)
    return report


def _lease_line(host_json: Path) -> list[str]:
    """How long a started app waits for the task hub's app lease, if the other app's still counts."""
    try:
        durable = json.loads(host_json.read_text(encoding="utf-8"))["extensions"]["durableTask"]
    except (OSError, ValueError, KeyError):
        return []
    options = durable.get("appLeaseOptions", {})
    lease, acquire = (
        _seconds(options.get("leaseInterval", "00:01:00")),
        _seconds(options.get("acquireInterval", "00:05:00")),
    )
    return [
        f"  app lease: an app started right after the other's end works after at most {lease + acquire} s; "
        "it covers orchestrations only, activities run in every app that runs"
    ]


def _seconds(text: str) -> int:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def _adopt(session: Session, seen: Observation) -> None:
    region, account = seen.account_region, seen.account
    if region is None or account is None:
        session.say("Nothing was adopted: the account does not answer.")
        return
    changes = {
        "ACTIVE_REGION": active_region_value(region.role),
        "STORAGE_SKU": account.sku,
        "DEPLOY_SECONDARY_ENDPOINTS": "true" if account.sku in READABLE else "false",
        "FENCED_REGION": next((active_region_value(role) for role in sorted(seen.fenced)), "none"),
    }
    for command in session.environment.change(changes) or ["the environment was right already"]:
        session.say(f"adopted: {command}")


def _lag_line(seen: Observation, now: datetime, limit: int) -> str:
    if seen.account is None or not seen.account.geo_redundant:
        return ""
    synced = seen.account.last_sync
    if synced is None:
        return "  LAG: the last sync time is unknown"
    behind = now - synced
    return f"  LAG: the copy is {int(behind.total_seconds())} s behind" if behind > timedelta(seconds=limit) else ""
