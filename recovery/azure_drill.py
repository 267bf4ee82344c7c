"""Run a drill against Azure: real instances over HTTPS, a real failover of the account, and back.

The starts go to the region that works, the events to the other one after the failover, as a client's would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from recovery import failback, reprotect
from recovery import operator_errors as errors
from recovery.arm import Response
from recovery.drill import Drill, Facts, StepFailed
from recovery.operator_state import Begun
from recovery.regions import Region, loss, refusal
from recovery.session import Session
from recovery.steps import Steps

ANSWER_LIMIT = timedelta(minutes=10)
COMPLETION_LIMIT = timedelta(minutes=10)
POLL_SECONDS = 10.0


def _failing_as_a_step(step: Callable[[], str]) -> Callable[[], str]:
    def run() -> str:
        try:
            return step()
        except errors.OperatorError as error:
            raise StepFailed(str(error)) from error

    return run


@dataclass
class AzureExecutor:
    """The meaning of the steps on a real deployment."""

    session: Session
    drill: Drill
    instances: int = 20
    function_key: str = ""
    name: str = "azure"
    without_take_over: bool = False
    accepted: list[str] = field(default_factory=list)
    learnt: Facts = field(default_factory=Facts)

    def steps(self) -> Mapping[str, Callable[[], str]]:
        meanings = {
            "only the home region works": self.only_home_works,
            "the copy is live": self.copy_is_live,
            "start instances that wait": self.start_instances,
            "stop the active region": self.stop_active,
            "fail the account over": self.fail_over,
            "start the standby": self.start_standby,
            "the app answers": self.app_answers,
            "raise the events": self.raise_events,
            "every accepted start has a verdict": self.verdicts,
            "restore geo-redundancy": self.restore_redundancy,
            "fail back home": self.fail_back,
        }
        return {name: _failing_as_a_step(step) for name, step in meanings.items()}

    def facts(self) -> Facts:
        return self.learnt

    # Gate

    def only_home_works(self) -> str:
        found = self.session.verdict()
        if found.name != "normal":
            raise StepFailed(f"the state is {found.name}, not normal; next: {found.next_command}")
        return found.meaning

    def copy_is_live(self) -> str:
        seen, now = self.session.azure.observe(), self.session.clock.now()
        reason = refusal(seen, seen.standby, self.drill.planned, False, now)
        if reason or seen.account is None:
            raise StepFailed(reason)
        self.learnt.last_sync_time = seen.account.last_sync.isoformat() if seen.account.last_sync else None
        return loss(seen.account, now, self.drill.planned)

    # Fault

    def start_instances(self) -> str:
        stamp = self.session.clock.now().strftime("%Y%m%d%H%M%S")
        for number in range(self.instances):
            name = f"drill-{stamp}-{number:04}"
            answer = self._call(self.session.azure.home, "POST", f"orchestrators/external_event?id={name}", {})
            if answer.status == 202:
                self.accepted.append(name)
        if not self.accepted:
            raise StepFailed("no start was accepted; is the function key right (--function-key)?")
        return f"{len(self.accepted)} of {self.instances} starts were accepted"

    def stop_active(self) -> str:
        # A killed drill is an unfinished failover: that command goes on with it.
        self.session.state.begun = Begun(
            "failover", "standby", self.drill.planned, self.session.clock.now().isoformat(),
            without_take_over=self.without_take_over,
        )  # fmt: skip
        self.session.state.original_sku = self.session.environment.values.get("STORAGE_SKU", "")
        self.session.state.save()
        self._steps().leave(self.session.azure.home)
        return f"{self.session.azure.home.site} is stopped"

    # Recovery

    def fail_over(self) -> str:
        steps = self._steps()
        steps.take_over(self.session.azure.standby)
        if self.drill.planned:
            steps.wait_for_sync()
        steps.fail_account_over()
        return f"the account's primary is {self.session.azure.standby.location}"

    def start_standby(self) -> str:
        steps = self._steps()
        steps.start(self.session.azure.standby)
        steps.remember(self.session.azure.standby)
        self.session.state.end()
        return f"{self.session.azure.standby.site} is running"

    def app_answers(self) -> str:
        def done() -> tuple[bool, float]:
            return self._call(self.session.azure.standby, "GET", "health").status == 200, POLL_SECONDS

        self._wait(done, "the standby's app to answer", ANSWER_LIMIT)
        return "GET /api/health answers 200"

    # Verdict

    def raise_events(self) -> str:
        answers = Counter(self._raise(name).status for name in self.accepted)
        return ", ".join(f"{count} answered {status}" for status, count in sorted(answers.items()))

    def _raise(self, name: str) -> Response:
        body = {"instanceId": name, "eventName": "event", "data": name}
        return self._call(self.session.azure.standby, "POST", "SendExternalEvent", body)

    def verdicts(self) -> str:
        verdicts: dict[str, str] = {}

        def done() -> tuple[bool, float]:
            verdicts.update({name: self._verdict(name) for name in self.accepted})
            return "waiting" not in verdicts.values(), POLL_SECONDS

        try:
            self._wait(done, "the instances to complete", COMPLETION_LIMIT)
        except StepFailed:
            verdicts = {name: "stuck" if found == "waiting" else found for name, found in verdicts.items()}
        counts = Counter(verdicts.values())
        self.learnt.verdicts = verdicts
        bad = counts["stuck"] + counts["wrong"] + (counts["lost"] if self.drill.planned else 0)
        seen = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        if bad:
            raise StepFailed(seen)
        return seen

    def _verdict(self, name: str) -> str:
        answer = self._call(self.session.azure.standby, "GET", f"instances/{name}")
        if answer.status == 404:
            return "lost"
        body: dict[str, Any] = answer.body if isinstance(answer.body, dict) else {}
        if body.get("runtimeStatus") != "Completed":
            return "waiting"
        return "completed" if name in str(body.get("output")) else "wrong"

    # Restore

    def restore_redundancy(self) -> str:
        reprotect.run(self.session, yes=True)
        return "the copy is live again"

    def fail_back(self) -> str:
        # A moment ago the operator agreed to the whole drill, the way home included; the copy may have to catch up.
        self._wait(self._copy_follows, "the copy to follow", timedelta(hours=24))
        self.session.state.remember_shown("failback --planned", self.session.clock.now())
        failback.fail_back(self.session, yes=True, without_take_over=self.without_take_over)
        return self.session.verdict().meaning

    def _copy_follows(self) -> tuple[bool, float]:
        seen = self.session.azure.observe()
        return not refusal(seen, seen.home, True, False, self.session.clock.now()), POLL_SECONDS

    # Plumbing

    def _steps(self) -> Steps:
        session = self.session
        return Steps(session.azure, session.environment, session.state, session.say, session.fence)

    def _wait(self, done: Callable[[], tuple[bool, float]], what: str, limit: timedelta) -> None:
        try:
            self.session.azure.arm.wait_until(done, what, limit, self.session.say)
        except errors.ArmUnavailable as error:
            raise StepFailed(str(error)) from error

    def _call(self, region: Region, method: str, path: str, body: Any = None) -> Response:
        headers = {"x-functions-key": self.function_key} if self.function_key else {}
        try:
            return self.session.transport.send(method, f"https://{region.host_name}/api/{path}", body, headers)
        except ConnectionError:
            return Response(503)
