"""preprovision: refuse to undo a failover.

Compares the environment with the account's real primary, redundancy and fences. A deployment that does not exist yet
has nothing to undo.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from recovery import operator_errors as errors  # noqa: E402
from recovery.arm import Arm, AzureCredential, RequestsTransport, SystemPollingClock  # noqa: E402
from recovery.azd_environment import SUBSCRIPTION, Environment  # noqa: E402
from recovery.azure_resources import find_account  # noqa: E402
from recovery.guard import account_differences, before_provisioning  # noqa: E402
from recovery.session import Session, connect  # noqa: E402


def problems(environment: Environment, session: Session | None = None) -> list[str]:
    """Why provisioning must not go on; empty when it may."""
    session = session or connect(environment, print)
    return before_provisioning(environment, session.azure.observe())


def problems_of_a_new_environment(values: Mapping[str, str], arm: Arm) -> list[str]:
    """The same for an environment that knows no names yet: a first deployment, or a clone of somebody else's."""
    home = values.get("AZURE_LOCATION") or "westeurope"
    account = find_account(arm, f"rg-{values['AZURE_ENV_NAME']}-state", home)
    if account is None:
        return []
    found = account_differences(values, account, "primary" if account.primary_location == home else "standby")
    return [f"{line} Fetch the names before: azd env refresh" for line in found]


def check() -> list[str]:
    """The problems of the environment that azd is about to provision."""
    try:
        environment = Environment.load()
    except errors.NotProvisioned:
        return _new(os.environ)
    return problems(environment) if environment.values.get("STORAGE_ACCOUNT_NAME") else _new(environment.values)


def _new(values: Mapping[str, str]) -> list[str]:
    if not values.get(SUBSCRIPTION) or not values.get("AZURE_ENV_NAME"):
        return []
    arm = Arm(RequestsTransport(), AzureCredential(), SystemPollingClock(), values[SUBSCRIPTION])
    return problems_of_a_new_environment(values, arm)


def main() -> int:
    """1 when provisioning would undo something."""
    try:
        found = check()
    except errors.OperatorError as error:
        found = [str(error)]
    for line in found:
        print(f"azd provision was stopped: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
