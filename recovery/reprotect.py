"""Make the account geo-redundant again after an unplanned failover left it with one copy."""

from __future__ import annotations

from recovery import operator_errors as errors
from recovery.operator_state import Begun
from recovery.regions import Account
from recovery.session import Session
from recovery.steps import Steps


def run(session: Session, sku: str = "", yes: bool = False) -> int:
    """Shows, begins or resumes the conversion and waits until the copy is live; returns the exit code.

    Raises Refused when the account does not need it or cannot have it.
    """
    account = session.azure.account()
    if account is None:
        raise errors.ArmUnavailable("The account does not answer the management plane. Try again in a few minutes.")
    begun = session.state.begun
    if begun is None or begun.command != "reprotect":
        _ensure_possible(session, account, sku)
        sku = sku or _usual(session, account)
        session.say(f"PATCH storageAccounts/{session.azure.account_name} sku {account.sku} -> {sku}")
        session.say("The whole account is copied to the other region: hours, with an egress charge; apps keep working.")
        if not yes:
            session.say("Nothing was changed. To do it: python -m recovery reprotect --yes")
            return 0
        session.state.begun = Begun("reprotect", "", True, session.clock.now().isoformat(), sku=sku)
        session.state.save()
    steps = Steps(session.azure, session.environment, session.state, session.say)
    steps.timed("copy", lambda: steps.convert(steps.begun.sku))
    session.state.end()
    found = session.verdict()
    session.say(f"{found.name}: {found.meaning}")
    if found.next_command:
        session.say(f"next: {found.next_command}")
    return 0


def _ensure_possible(session: Session, account: Account, sku: str) -> None:
    if session.state.begun is not None:
        raise errors.Refused(
            f"The {session.state.begun.command} has not ended. Finish it first: see python -m recovery status"
        )
    if account.failover_in_progress:
        raise errors.Refused("A failover is in progress. Watch it with: python -m recovery status --watch")
    if account.protected and sku in ("", account.sku):
        raise errors.Refused(
            f"The account is {account.sku} and its copy is live: it is protected. See: python -m recovery status"
        )


def _usual(session: Session, account: Account) -> str:
    """What it was before, except that a zone-redundant account can only become so at home."""
    original = session.state.original_sku or session.environment.values.get("STORAGE_SKU", "")
    at_home = account.primary_location == session.azure.home.location
    if account.geo_redundant:
        return account.sku
    if original == "Standard_RAGZRS" and at_home:
        return original
    return "Standard_GRS" if original in ("Standard_GRS", "Standard_GZRS") else "Standard_RAGRS"
