"""preprovision: refuse to undo a failover.

Compares the environment with the account's real primary, redundancy and fences. A deployment that does not exist yet
has nothing to undo.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from recovery import operator_errors as errors  # noqa: E402
from recovery.azd_environment import Environment  # noqa: E402
from recovery.guard import before_provisioning  # noqa: E402
from recovery.session import Session, connect  # noqa: E402


def problems(environment: Environment, session: Session | None = None) -> list[str]:
    """Why provisioning must not go on; empty when it may."""
    if not environment.values.get("STORAGE_ACCOUNT_NAME"):
        return []
    session = session or connect(environment, print)
    return before_provisioning(environment, session.azure.observe())


def main() -> int:
    """1 when provisioning would undo something."""
    try:
        environment = Environment.load()
    except errors.NotProvisioned:
        return 0
    try:
        found = problems(environment)
    except errors.OperatorError as error:
        found = [str(error)]
    for line in found:
        print(f"azd provision was stopped: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
