"""`python -m lab COMMAND`: one small table; a command's module is imported only when it is chosen."""

from __future__ import annotations

import importlib
import sys

# Command -> (module, what it does). The module has main(arguments) -> exit code.
COMMANDS = {
    "host": ("lab.host_command", "run an app on this machine, HTTP functions and Durable orchestrations"),
    "drill": ("lab.drills.command", "lose a region in the middle of work and account for every request"),
    "simulate": ("lab.simulate", "play a thousand failovers with their recovery in virtual time"),
}


def main(arguments: list[str]) -> int:
    """Runs the chosen command; 2 when there is none of that name."""
    if not arguments or arguments[0] not in COMMANDS:
        rows = "\n".join(f"  {name:9} {what}" for name, (_, what) in COMMANDS.items())
        asked_for_help = arguments[:1] in (["-h"], ["--help"])
        print(f"usage: python -m lab COMMAND [--help]\n\n{rows}", file=sys.stdout if asked_for_help else sys.stderr)
        return 0 if asked_for_help else 2
    module = importlib.import_module(COMMANDS[arguments[0]][0])
    return int(module.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
