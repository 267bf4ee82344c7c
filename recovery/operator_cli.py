"""Arguments and exit codes of the commands that move the work between regions.

status       what is true, and what to type next
failover     to the standby region, --planned or --unplanned
reprotect    geo-redundancy again, after an unplanned failover
failback     home again
settle       exactly one app runs, in the account's region
drill        a failover and back, with real instances and a report
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from recovery import operator_errors as errors
from recovery.azd_environment import FOLDER, Environment
from recovery.drill import Drill
from recovery.fence_record import WITHOUT
from recovery.regions import loss
from recovery.session import Session, connect

FAKE = "fake"


def main(command: str, arguments: list[str]) -> int:
    """Runs one command; 0 done or fine, 1 something has to be done, 2 wrong arguments."""
    options = _parser(command).parse_args(arguments)
    try:
        return _with_session(options, COMMANDS[command][1])
    except errors.OperatorError as error:
        print(f"{command}: {_on_the_fake(str(error)) if options.fake else error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{command}: interrupted. Run the same command again: it goes on where it was.", file=sys.stderr)
        return 130


def _with_session(options: argparse.Namespace, run: Callable[[Session, argparse.Namespace], int]) -> int:
    if not options.fake:
        return run(connect(Environment.load(options.environment), say), options)
    from recovery import arm_fake

    folder = Path(options.folder) / FAKE
    azure = arm_fake.load(folder / "azure.json")
    session = connect(
        _fake_environment(folder), lambda text: say(_on_the_fake(text)), azure, arm_fake.FakeCredential(), azure.clock,
        azure.records,
    )  # fmt: skip
    try:
        return run(session, options)
    finally:
        azure.save(folder / "azure.json")


def _fake_environment(folder: Path) -> Environment:
    from recovery import arm_fake

    if not (folder / ".env").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".env").write_text("".join(f'{k}="{v}"\n' for k, v in arm_fake.VALUES.items()), encoding="utf-8")
    return Environment.load(FAKE, folder.parent)


def _on_the_fake(text: str) -> str:
    """The commands that a message names, for who practises: typed as they stand they would be for the real ones."""
    return re.sub(rf"python -m recovery (?:{'|'.join(COMMANDS)})\b", r"\g<0> --fake", text)


class _Voice:
    """Prints lines; what begins like the line before and only tells the time replaces it on a terminal."""

    def __init__(self) -> None:
        self._waiting = ""
        self._told = 0

    def __call__(self, message: str) -> None:
        what, _, elapsed = message.rpartition(": ")
        ticking = elapsed.endswith(" s") and " min " in elapsed
        if ticking:
            self._tick(what, message, int(elapsed.split()[0]))
        else:
            print(("\n" if self._waiting and sys.stdout.isatty() else "") + message, flush=True)
        self._waiting = what if ticking else ""

    def _tick(self, what: str, message: str, minutes: int) -> None:
        if sys.stdout.isatty():
            print(f"\r{message}   ", end="", flush=True)
        elif what != self._waiting or minutes >= self._told + 10:
            self._told = minutes
            print(message, flush=True)


say = _Voice()


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m recovery {command}", description=COMMANDS[command][0])
    parser.add_argument(
        "--environment", "-e", default="", help="name of the azd environment; the default one if omitted"
    )
    parser.add_argument("--fake", action="store_true", help="on a small Azure of this machine, to practise")
    parser.add_argument("--folder", default=str(FOLDER), help=argparse.SUPPRESS)
    if command == "status":
        parser.add_argument("--watch", action="store_true", help="look again until the state is fine")
        parser.add_argument("--adopt", action="store_true", help="write what is true to the environment")
        parser.add_argument(
            "--max-lag", type=int, default=0, metavar="SECONDS", help="a copy further behind is a failure"
        )
        return parser
    parser.add_argument("--yes", action="store_true", help="do it; without, only what it would do is shown")
    parser.add_argument("--dry-run", action="store_true", help="only show (the default)")
    if command == "reprotect":
        parser.add_argument(
            "--sku", default="", choices=["", "Standard_RAGRS", "Standard_RAGZRS", "Standard_GRS", "Standard_GZRS"]
        )
    if command != "reprotect":
        parser.add_argument(
            WITHOUT, action="store_true", help="leave the fence's record alone: it was written from inside the network"
        )
    if command in ("failover", "failback", "drill"):
        kind = parser.add_mutually_exclusive_group(required=command == "failover")
        kind.add_argument("--planned", action="store_true", help="no loss; needs both regions")
        kind.add_argument(
            "--unplanned", action="store_true", help="what was not copied is lost; the account is left with one copy"
        )
        parser.add_argument(
            "--accept-unknown-loss", action="store_true", help="go on although the last sync time is unknown"
        )
    if command == "failover":
        parser.add_argument("--fence", action="store_true", help="also take the old region's rights on the data away")
        parser.add_argument("--hold", action="store_true", help="do not start the standby yet: look at the hub first")
    if command == "drill":
        parser.add_argument("--instances", type=int, default=20, help="how many orchestrations are in flight")
        parser.add_argument(
            "--function-key", default=os.environ.get("DRILL_FUNCTION_KEY", ""), help="key of the app's functions"
        )
        parser.add_argument(
            "--report", default="drill-report.json", help="where the report is written; a page beside it"
        )
    return parser


def _yes(options: argparse.Namespace) -> bool:
    return bool(options.yes and not options.dry_run)


def _status(session: Session, options: argparse.Namespace) -> int:
    from recovery import status

    return status.run(session, options.watch, options.adopt, options.max_lag)


def _failover(session: Session, options: argparse.Namespace) -> int:
    from recovery import failover

    request = failover.Request(
        "failover",
        "standby",
        options.planned,
        options.fence,
        options.accept_unknown_loss,
        options.hold,
        options.without_take_over,
        _yes(options),
    )
    return failover.run(request, session)


def _failback(session: Session, options: argparse.Namespace) -> int:
    from recovery import failback

    return failback.fail_back(
        session, not options.unplanned, options.accept_unknown_loss, _yes(options), options.without_take_over
    )


def _reprotect(session: Session, options: argparse.Namespace) -> int:
    from recovery import reprotect

    return reprotect.run(session, options.sku, _yes(options))


def _settle(session: Session, options: argparse.Namespace) -> int:
    from recovery import settle

    return settle.run(session, _yes(options), options.without_take_over)


def _drill_agreed(session: Session, drill: Drill, yes: bool) -> bool:
    """Shows the steps and the loss; True when they were shown before and the operator said yes."""
    text, now, account = (
        f"drill {'--planned' if drill.planned else '--unplanned'}",
        session.clock.now(),
        session.azure.account(),
    )
    if yes and session.state.was_shown(text, now):
        return True
    if yes:
        raise errors.Refused(
            f"Nobody has looked at what this would do in the last 30 minutes. Look first: python -m recovery {text}"
        )
    for phase, names in drill.phases:
        session.say(f"  {phase}: {', '.join(names) or 'nothing'}")
    session.say(f"  {loss(account, now, drill.planned) if account else 'The account does not answer.'}")
    session.say("  The apps are down for as long as each of the two failovers takes, up to an hour each.")
    session.state.remember_shown(text, now)
    session.say(f"Nothing was changed. To do it: python -m recovery {text} --yes")
    return False


def _drill(session: Session, options: argparse.Namespace) -> int:
    from recovery import drill_report
    from recovery.azure_drill import AzureExecutor
    from recovery.drill import DRILLS, run_drill

    drill = DRILLS["unplanned failover" if options.unplanned else "planned failover"]
    session.say(drill.question)
    if not _drill_agreed(session, drill, _yes(options)):
        return 0
    name = FAKE if options.fake else "azure"
    executor = AzureExecutor(session, drill, options.instances, options.function_key, name, options.without_take_over)
    report = run_drill(drill, executor, session.clock, session.say)
    written = Path(options.report)
    report.write(written)
    written.with_suffix(".html").write_text(drill_report.html(report), encoding="utf-8")
    for line in report.lines():
        session.say(line)
    session.say(f"report: {written.with_suffix('.html')}, {written.name}")
    return 0 if report.passed else 1


COMMANDS: dict[str, tuple[str, Callable[[Session, argparse.Namespace], int]]] = {
    "status": ("Say what state the two regions are in, and what to type next.", _status),
    "failover": ("Move the work to the standby region.", _failover),
    "reprotect": ("Make the account geo-redundant again after an unplanned failover.", _reprotect),
    "failback": ("Move the work home to the primary region.", _failback),
    "settle": ("Make exactly one app run: the one in the account's region.", _settle),
    "drill": ("Fail over and back with real instances, and write a report.", _drill),
}
