"""The steps of which the commands are made, each safe to repeat: it looks first, and does only what is missing.

The order that every command keeps: stop the old, take the fence over for the new, fail over, start the new. An app is
started only after the other one was seen stopped (or fenced) and the account was seen in its region.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from recovery import operator_errors as errors
from recovery.arm import OPERATION_DEADLINE, Arm, Progress, Transport
from recovery.azd_environment import (
    ACTIVE_REGION,
    FENCED_REGION,
    SECONDARY_ENDPOINTS,
    STORAGE_SKU,
    Environment,
    active_region_value,
)
from recovery.azure_resources import Azure
from recovery.fence_record import FenceRecord
from recovery.operator_state import Begun, OperatorState
from recovery.regions import READABLE, Account, App, Region

APP_LIMIT = timedelta(minutes=10)
PROBE_LIMIT = timedelta(minutes=10)
CONVERSION_LIMIT = timedelta(hours=72)
POLL_SECONDS = 10.0
CONVERSION_POLL_SECONDS = 60.0
LOST_ANSWER_SECONDS = 60.0


class Steps:
    """The steps, on one deployment, for one command that has begun."""

    def __init__(
        self,
        azure: Azure,
        environment: Environment,
        state: OperatorState,
        say: Progress,
        fence_record: FenceRecord | None = None,
    ) -> None:
        self.azure = azure
        self.environment = environment
        self.state = state
        self.say = say
        self.arm: Arm = azure.arm
        self._fence_record = fence_record or FenceRecord()

    @property
    def begun(self) -> Begun:
        assert self.state.begun is not None
        return self.state.begun

    def timed(self, name: str, step: Callable[[], None]) -> None:
        """Runs a step and adds the seconds it took to the state."""
        started = self.arm.clock.now()
        try:
            step()
        finally:
            seconds = (self.arm.clock.now() - started).total_seconds()
            self.begun.timings[name] = round(self.begun.timings.get(name, 0) + seconds, 1)
            self.state.save()

    # Apps

    def stop(self, region: Region) -> None:
        """Stops an app and waits until ARM says Stopped. Raises ArmUnavailable when that cannot be confirmed."""
        if self.azure.app(region) is not App.STOPPED:
            self.say(f"stopping {region.site} in {region.location}")
            self.azure.stop(region)
            self._wait_for(region, App.STOPPED)
        self.say(f"{region.site} in {region.location} is stopped")
        if not self.begun.stopped_at:
            self.begun.stopped_at = self.arm.clock.now().isoformat()
            self.state.save()

    def start(self, region: Region) -> None:
        """Starts an app, after seeing the other one stopped or fenced, and the account in this region."""
        self._ensure_alone(region)
        if self.azure.app(region) is not App.RUNNING:
            self.say(f"starting {region.site} in {region.location}")
            self.azure.start(region)
            self._wait_for(region, App.RUNNING)
        self.say(f"{region.site} in {region.location} is running")

    def _wait_for(self, region: Region, wanted: App) -> None:
        def done() -> tuple[bool, float]:
            return self.azure.app(region) is wanted, POLL_SECONDS

        self.arm.wait_until(done, f"{region.site} to be {wanted.value}", APP_LIMIT, self.say)

    def _ensure_alone(self, region: Region) -> None:
        seen = self.azure.observe()
        other = seen.other(region)
        if seen.account is None or seen.account.failover_in_progress or seen.account_region is not region:
            raise errors.Refused(
                f"The account is not in {region.location} yet, so its app is not started. "
                "Run the command again; see where it is with: python -m recovery status"
            )
        app = seen.apps[other.role]
        if app is App.RUNNING or (app is App.UNKNOWN and other.role not in seen.fenced):
            raise errors.Refused(
                f"{other.site} in {other.location} is {app.value}: two apps on one hub "
                "take each other's work. Run the command again with --fence, or stop that app first."
            )

    # The old region

    def leave(self, region: Region) -> None:
        """Stops the old region's app, and fences it if asked. When neither can be confirmed, nothing goes on."""
        try:
            self.stop(region)
        except (errors.ArmUnavailable, errors.ArmError) as error:
            if self.begun.planned or isinstance(error, errors.ArmError) and error.status < 500:
                raise
            if not self.begun.fence:
                raise errors.Refused(
                    f"{region.site} in {region.location} cannot be stopped: its management plane does not answer. It "
                    "may still run, or wake up later. Take its rights on the data away instead: add --fence"
                ) from error
            self.say(f"{region.site} does not answer; it is fenced instead, and must be stopped when it answers again")
        if self.begun.fence:
            self.fence(region)

    def take_over(self, region: Region) -> None:
        """Makes the region the one that works, by one conditional write; the other's app stops by itself.

        Refused: the record cannot be written from here, and nobody said to leave it alone.
        """
        if not self._fence_record.is_on:
            return
        if self.begun.without_take_over:
            self.say("the fence's record is left alone, as asked")
            return
        epoch = self._fence_record.take_over(region)
        self.say(f"the fence says since {epoch.since} that {epoch.region} works (epoch {epoch.number})")

    def fence(self, region: Region) -> None:
        """Removes the region's rights on the hub's data, remembering them first."""
        assignments = self.azure.data_roles(region)
        known = {row["name"] for row in self.state.removed_roles}
        self.state.removed_roles += [row for row in assignments if row["name"] not in known]
        self.state.save()
        for assignment in assignments:
            self.azure.remove_role(assignment)
        if self.azure.data_roles(region):
            raise errors.OperatorError(f"The rights of {region.location} were not removed. Run the command again.")
        self.environment.change({FENCED_REGION: active_region_value(region.role)})
        self.say(
            f"{region.location} has no rights on the hub's data any more (this takes up to 10 minutes to reach it)"
        )

    def unfence(self, region: Region) -> None:
        """Gives the region's rights back, while its app is stopped. Raises Refused when it cannot."""
        if region.role not in self.azure.observe().fenced:
            return
        mine = [row for row in self.state.removed_roles if row["properties"]["principalId"] == region.principal_id]
        if not mine:
            raise errors.Refused(
                f"{region.location} was fenced from another machine, which knows its role assignments. Give them back "
                "with: azd env set FENCED_REGION none, then azd provision, and run this command again"
            )
        for assignment in mine:
            self.azure.give_role(assignment)
        self.state.removed_roles = [row for row in self.state.removed_roles if row not in mine]
        self.state.save()
        self.environment.change({FENCED_REGION: "none"})
        self.say(f"{region.location} has its rights on the hub's data again")

    # The account

    def wait_for_sync(self) -> None:
        """Before a planned failover: until the copy holds everything that was written before the stop."""
        stopped = datetime.fromisoformat(self.begun.stopped_at)

        def done() -> tuple[bool, float]:
            account = self.azure.account()
            if account is not None and account.failover_in_progress:
                return True, 0
            return bool(account and account.last_sync and account.last_sync >= stopped), POLL_SECONDS

        if not self._account_is_there():
            self.arm.wait_until(done, "the copy to hold the last write", timedelta(minutes=60), self.say)

    def _account_is_there(self) -> bool:
        account = self.azure.account()
        return account is not None and account.primary_location == self.azure.region(self.begun.target).location

    def fail_account_over(self) -> None:
        """Begins the failover unless it has begun, and waits until the account's primary is the target."""
        target = self.azure.region(self.begun.target)
        if self.begun.account_begun and not self.begun.operation:
            self.arm.clock.sleep(LOST_ANSWER_SECONDS)
        account = self.azure.account()
        if account is None:
            raise errors.ArmUnavailable(
                "The account does not answer the management plane. Run the command again in a few minutes."
            )
        if account.primary_location != target.location and not account.failover_in_progress:
            self._begin(account)
        self.arm.wait_until(
            lambda: self._arrived(target), "account failover (up to 60 minutes are usual)", OPERATION_DEADLINE, self.say
        )
        self.say(f"the account's primary is {target.location}")

    def _begin(self, account: Account) -> None:
        self.begun.account_begun = True
        self.state.save()
        self.say(f"failing {self.azure.account_name} over to {self.begun.target}, {_kind(self.begun.planned)}")
        try:
            self.begun.operation = self.azure.fail_over(self.begun.planned)
        except errors.OperatorError as error:
            lost, busy = isinstance(error, errors.ArmUnavailable), getattr(error, "status", 0) == 409
            if not lost and not busy:
                raise
            # Perhaps only the answer was lost, and a second request may be a second failover: wait, then look.
            self.begun.operation = ""
            self.arm.clock.sleep(LOST_ANSWER_SECONDS)
        self.state.save()

    def _arrived(self, target: Region) -> tuple[bool, float]:
        running, seconds = self._operation_runs()
        try:
            account = self.azure.account()
        except errors.NotVisible:
            # What is being moved may not be found for a moment.
            account = None
        if account is None:
            return False, seconds
        if account.primary_location == target.location and not account.failover_in_progress:
            return account.status_of_primary == "available", POLL_SECONDS
        if not account.failover_in_progress and not running:
            self._begin_again_or_stop(account)
        return False, seconds

    def _operation_runs(self) -> tuple[bool, float]:
        if not self.begun.operation:
            return False, POLL_SECONDS
        try:
            ended, seconds = self.arm.finished(self.begun.operation)
        except errors.ArmError as error:
            self.begun.operation = ""
            self.state.save()
            raise errors.OperatorError(
                f"Azure ended the failover with an error and nothing was started. {error} Run the command again."
            ) from error
        return not ended, max(seconds, POLL_SECONDS)

    def _begin_again_or_stop(self, account: Account) -> None:
        if self.begun.operation:
            self.begun.operation = ""
            self.state.save()
            raise errors.OperatorError(
                "Azure ended the failover without moving the account. Nothing was started. "
                "Look at the account's activity log, then run the command again."
            )
        self._begin(account)

    def convert(self, sku: str) -> None:
        """Asks for a redundancy and waits until the copy is live."""
        account = self.azure.account()
        if account is not None and account.sku != sku and not account.converting:
            self.say(f"converting {self.azure.account_name} from {account.sku} to {sku}")
            self.azure.convert(sku)
        self.arm.wait_until(lambda: self._copied(sku), f"copy to the other region ({sku})", CONVERSION_LIMIT, self.say)
        self.environment.change({STORAGE_SKU: sku, SECONDARY_ENDPOINTS: "true" if sku in READABLE else "false"})
        self.say("the account has a live copy in the other region")

    def _copied(self, sku: str) -> tuple[bool, float]:
        account = self.azure.account()
        live = account is not None and account.sku == sku and account.protected and account.last_sync is not None
        return live, CONVERSION_POLL_SECONDS

    def probe(self, region: Region, transport: Transport) -> None:
        """Waits a while for the app to answer. It is running already, so a silent one is said and not undone."""

        said = ""

        def done() -> tuple[bool, float]:
            nonlocal said
            try:
                answer = transport.send("GET", f"https://{region.host_name}/api/health", None, {})
            except ConnectionError:
                return False, POLL_SECONDS
            said = str(answer.body.get("message", "")) if isinstance(answer.body, dict) else ""
            return answer.status == 200, POLL_SECONDS

        try:
            self.arm.wait_until(done, f"{region.site} to answer", PROBE_LIMIT, self.say)
            self.say(f"https://{region.host_name}/api/health answers 200")
        except errors.ArmUnavailable:
            why = f" It says: {said}" if said else ""
            self.say(f"{region.site} runs but does not answer yet.{why} Look at its log; docs/runbook.md says how.")

    # What a later azd up would do

    def remember(self, region: Region) -> None:
        """Writes to the environment what is now true, so that azd provision does not undo it."""
        account = self.azure.account()
        changes = {ACTIVE_REGION: active_region_value(region.role)}
        if account is not None:
            changes[STORAGE_SKU] = account.sku
            changes[SECONDARY_ENDPOINTS] = "true" if account.sku in READABLE else "false"
        commands = self.environment.change(changes)
        if self.environment.file is None:
            for command in commands:
                self.say(f"remember it where the environment is kept: {command}")


def _kind(planned: bool) -> str:
    return "planned (no loss, both regions needed)" if planned else "unplanned (what was not copied is lost)"
