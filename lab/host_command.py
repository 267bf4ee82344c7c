"""`python -m lab host`: arguments, the errors a person meets, and the exit code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lab import settings
from lab.errors import AppError, LabError
from lab.settings import DEFAULT_PORT, Flags
from taskhub.errors import TaskHubError


def main(arguments: list[str]) -> int:
    """Runs the host until it is told to stop; 1 when it cannot start or has to give up, 2 for wrong arguments."""
    given = _parser().parse_args(arguments)
    try:
        flags = Flags(**vars(given))
        chosen = settings.load(flags)
        from lab import host  # only now: a wrong setting is told without loading everything

        return host.run(chosen, lambda: settings.load(flags))
    except (LabError, TaskHubError) as error:
        if isinstance(error, AppError) and error.details:
            print(error.details, file=sys.stderr)
        print(f"host: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="host",
        description="Runs a Python Functions app (v2 model) with its Durable orchestrations on this machine.",
    )
    add = parser.add_argument
    add("--app", type=Path, default=Path("."), metavar="DIR", help="the app's folder (this one)")
    add("--port", type=_port, metavar="N", help=f"the port to listen on ({DEFAULT_PORT})")
    add(
        "--storage",
        metavar="ACCOUNT",
        help="an embedded account's file (.lab/account.db in the app's folder), "
        ":memory:, a connection string, UseDevelopmentStorage=true, or the name of an app setting that holds one",
    )
    add("--python", type=Path, metavar="PATH", help="the interpreter, or virtual environment, the functions run in")
    add("--workers", type=_count, metavar="N", help="worker processes (FUNCTIONS_WORKER_PROCESS_COUNT, or 1)")
    add("--lease-seconds", type=_lease, metavar="N", help="how long a dead host keeps its partitions (15)")
    add("--require-keys", action="store_true", help="ask for keys as on Azure; they are printed at start")
    add("--cors", metavar="ORIGINS", help="origins whose pages may call the host, with commas between, or * for all")
    add("--cors-credentials", action="store_true", help="those pages may send cookies and the like")
    add("--watch", action="store_true", help="load the app again when one of its files changes")
    add("--verbose", action="store_true", help="print the host's own details")
    return parser


def _port(text: str) -> int:
    return _within(text, 0, 65535, "a port")


def _count(text: str) -> int:
    return _within(text, 1, 64, "a number of processes")


def _lease(text: str) -> int:
    return _within(text, 15, 60, "a number of seconds")


def _within(text: str, least: int, most: int, what: str) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least} to {most}")
    return int(text)
