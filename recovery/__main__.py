"""`python -m recovery COMMAND`: one small table; a command's module is imported only when it is chosen."""

from __future__ import annotations

import importlib
import sys

# Command -> (module, what it does). The module has main(command, arguments) -> exit code.
COMMANDS = {
    "status": ("recovery.operator_cli", "what state the two regions are in, and what to type next"),
    "failover": ("recovery.operator_cli", "move the work to the standby region"),
    "reprotect": ("recovery.operator_cli", "geo-redundancy again, after an unplanned failover"),
    "failback": ("recovery.operator_cli", "move the work home"),
    "settle": ("recovery.operator_cli", "exactly one app runs, in the account's region"),
    "drill": ("recovery.operator_cli", "fail over and back with real instances, and write a report"),
    "doctor": ("recovery.doctor", "a verdict for every instance of a hub, and repairs"),
    "reconcile": ("recovery.reconcile", "start and raise what the journal accepted and the hub lost"),
    "fence": ("recovery.fence_command", "which region works; makes another one the one that does"),
    "practise": ("recovery.practise", "a disaster for --fake, to practise on"),
}


def main(arguments: list[str]) -> int:
    """Runs the chosen command; 2 when there is none of that name."""
    if not arguments or arguments[0] not in COMMANDS:
        rows = "\n".join(f"  {name:11} {what}" for name, (_, what) in COMMANDS.items())
        print(f"usage: python -m recovery COMMAND [--help]\n\n{rows}", file=sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    module = importlib.import_module(COMMANDS[arguments[0]][0])
    return int(module.main(arguments[0], arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
