"""Fail over to the standby region, or back: stop the old, fail the account over, start the new.

The first run shows the last sync time, what may be lost and every call; the same command with `--yes` does it. Killed
at any moment and started again, it goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from recovery import operator_errors as errors
from recovery.azd_environment import active_region_value
from recovery.operator_state import Begun
from recovery.regions import App, Observation, Region, loss, refusal
from recovery.session import Session
from recovery.steps import Steps


@dataclass(frozen=True)
class Request:
    """What the operator typed."""

    command: str
    target: str
    planned: bool
    fence: bool = False
    accept_unknown_loss: bool = False
    hold: bool = False
    without_take_over: bool = False
    yes: bool = False

    @property
    def text(self) -> str:
        """The command as typed, without `--yes`."""
        kind = "--planned" if self.planned else "--unplanned"
        return f"{self.command} {kind}{' --fence' if self.fence else ''}"


def run(request: Request, session: Session) -> int:
    """Shows, begins or resumes; returns the exit code.

    Raises Refused with the next step when the state does not allow it.
    """
    begun = session.state.begun
    if begun is not None and not _replaces(request, begun):
        _ensure_same(request, begun)
        session.say(f"going on with the {begun.command} that began at {begun.started}")
    elif not _begin(request, session):
        return 0
    _steps(session, request)
    return 0


def _replaces(request: Request, begun: Begun) -> bool:
    """A planned failover that cannot end, because the region was lost meanwhile, may become an unplanned one."""
    same = (request.command, request.target) == (begun.command, begun.target)
    return same and begun.planned and not request.planned


def _ensure_same(request: Request, begun: Begun) -> None:
    if (request.command, request.target, request.planned) != (begun.command, begun.target, begun.planned):
        kind = "" if begun.command in ("settle", "reprotect") else " --planned" if begun.planned else " --unplanned"
        raise errors.Refused(
            f"The {begun.command} that began at {begun.started} has not ended. "
            f"Finish it first: python -m recovery {begun.command}{kind} --yes, or give it up: python -m recovery settle"
        )
    begun.fence = begun.fence or request.fence
    begun.without_take_over = begun.without_take_over or request.without_take_over


def _begin(request: Request, session: Session) -> bool:
    seen, now = session.azure.observe(), session.clock.now()
    target = session.azure.region(request.target)
    reason = refusal(seen, target, request.planned, request.accept_unknown_loss, now)
    if reason:
        raise errors.Refused(reason)
    _ensure_own_environment(seen, session)
    assert seen.account is not None
    lost = loss(seen.account, now, request.planned)
    _show(request, session, seen, target, lost)
    if not request.yes:
        session.state.remember_shown(request.text, now)
        session.say(f"Nothing was changed. To do it: python -m recovery {request.text} --yes")
        return False
    if not session.state.was_shown(request.text, now):
        raise errors.Refused(
            "Nobody has looked at what this would lose in the last 30 minutes. "
            f"Look first: python -m recovery {request.text}"
        )
    if not request.without_take_over:
        session.fence.ensure_reachable(target)
    session.state.original_sku = seen.account.sku
    session.state.begun = Begun(
        request.command, request.target, request.planned, now.isoformat(), request.fence,
        without_take_over=request.without_take_over, loss=lost,
    )  # fmt: skip
    session.state.save()
    return True


def _ensure_own_environment(seen: Observation, session: Session) -> None:
    region = seen.account_region
    wanted = session.environment.values.get("ACTIVE_REGION", "primary")
    if region is not None and wanted != active_region_value(region.role):
        raise errors.Refused(
            f"This environment says ACTIVE_REGION={wanted}, but the account is in {region.location}: somebody failed "
            "over from another clone. Take over what is true with: python -m recovery status --adopt"
        )


def _show(request: Request, session: Session, seen: Observation, target: Region, lost: str) -> None:
    account, source = seen.account, seen.other(target)
    assert account is not None
    session.say(f"{request.command} of {session.azure.account_name} from {source.location} to {target.location}")
    session.say(f"  last sync time: {account.last_sync.isoformat() if account.last_sync else 'unknown'}")
    session.say(f"  {lost}")
    for line in calls(request, session, seen, target):
        session.say(f"  {line}")


def calls(request: Request, session: Session, seen: Observation, target: Region) -> list[str]:
    """The changing calls that this would make, in order."""
    source = seen.other(target)
    lines = [] if seen.apps[source.role] is App.STOPPED else [f"POST sites/{source.site}/stop"]
    if request.fence:
        lines += [f"DELETE roleAssignments of {source.principal_id} on {session.azure.account_name}"]
    if not request.without_take_over:
        lines += session.fence.plan(target)
    kind = "?failoverType=Planned" if request.planned else "  (unplanned: no failoverType)"
    lines += [f"POST storageAccounts/{session.azure.account_name}/failover{kind}"]
    if target.role in seen.fenced:
        lines += [f"PUT roleAssignments of {target.principal_id} on {session.azure.account_name}"]
    remember = f"azd env set ACTIVE_REGION {active_region_value(target.role)}, and STORAGE_SKU as it is then"
    return [*lines, f"POST sites/{target.site}/start", remember]


def _steps(session: Session, request: Request) -> None:
    steps = Steps(session.azure, session.environment, session.state, session.say, session.fence)
    target = session.azure.region(steps.begun.target)
    source = session.azure.standby if target.role == "primary" else session.azure.home
    steps.timed("stop", lambda: steps.leave(source))
    steps.timed("take over", lambda: steps.take_over(target))
    if steps.begun.planned:
        steps.timed("wait for the copy", steps.wait_for_sync)
    steps.timed("fail over", steps.fail_account_over)
    if request.hold:
        session.say(
            "The account has moved and no app runs. Look at the hub: python -m recovery doctor. "
            f"Then start the app: python -m recovery {request.text} --yes"
        )
        return
    steps.timed("give rights back", lambda: steps.unfence(target))
    steps.timed("start", lambda: steps.start(target))
    steps.timed("remember", lambda: steps.remember(target))
    steps.timed("answer", lambda: steps.probe(target, session.transport))
    _end(session, steps)


def _end(session: Session, steps: Steps) -> None:
    for name, seconds in steps.begun.timings.items():
        session.say(f"  {name:20} {seconds:8.0f} s")
    session.state.end()
    found = session.verdict()
    session.say(f"{found.name}: {found.meaning}")
    if found.next_command:
        session.say(f"next: {found.next_command}")
