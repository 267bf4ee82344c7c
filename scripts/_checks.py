"""What `scripts/check` and `scripts/fix` run, one after the other; every failure is shown, not only the first."""

from __future__ import annotations

import subprocess
import sys

CHECKS = {
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "lint": ("ruff", "check", "--quiet", "."),
    "types": ("mypy",),
    "templates": ("infra.checks",),
}
FIXES = {
    "lint": ("ruff", "check", "--fix", "--quiet", "."),
    "format": ("ruff", "format", "--quiet", "."),
}


def main(arguments: list[str]) -> int:
    """Runs all of them; 1 when one failed."""
    chosen = FIXES if arguments == ["--fix"] else CHECKS
    failed = [name for name, command in chosen.items() if subprocess.call([sys.executable, "-m", *command]) != 0]
    print(f"not ok: {', '.join(failed)}" if failed else f"ok: {', '.join(chosen)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
