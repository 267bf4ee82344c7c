"""postdeploy: the standby is still stopped, the other app runs, and both regions carry the same package.

A standby that runs is stopped at once. The package's hash was written into the package by `build_package.py`; each
region's deployment service gives it back.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from recovery import operator_errors as errors  # noqa: E402
from recovery.azd_environment import Environment  # noqa: E402
from recovery.guard import after_deployment  # noqa: E402
from recovery.session import Session, connect  # noqa: E402
from recovery.settle import run as settle  # noqa: E402

HASH_FILE = "package-hash.txt"


def deployed_hash(session: Session, site: str) -> str:
    """The hash inside the package that a region carries; empty when its deployment service does not tell."""
    headers = {"Authorization": f"Bearer {session.azure.arm.token()}", "If-Match": "*"}
    try:
        answer = session.transport.send(
            "GET", f"https://{site}.scm.azurewebsites.net/api/vfs/site/wwwroot/{HASH_FILE}", None, headers
        )
    except ConnectionError:
        return ""
    return str(answer.body).strip() if answer.status == 200 else ""


def differing_packages(session: Session, built: str) -> list[str]:
    """Regions that carry another package than the one just built; a region that does not say is only mentioned."""
    found = []
    for region in (session.azure.home, session.azure.standby):
        carried = deployed_hash(session, region.site)
        if carried and carried != built:
            found += [
                f"{region.site} in {region.location} carries package {carried[:12]}, expected {built[:12]}. "
                "Deploy again with: azd deploy"
            ]
        session.say(f"{region.site} carries package {carried[:12] or '(it does not say which)'}")
    return found


def verify(environment: Environment, session: Session, built: str) -> list[str]:
    """Puts wrong app states right, and returns what is still wrong."""
    if after_deployment(environment, session.azure.observe()):
        settle(session, yes=True)
    return [*after_deployment(environment, session.azure.observe()), *differing_packages(session, built)]


def main() -> int:
    """1 when a region is not as it should be."""
    hash_file = Path(__file__).resolve().parents[2] / "dist" / "package" / HASH_FILE
    try:
        environment = Environment.load()
        found = verify(environment, connect(environment, print), hash_file.read_text(encoding="utf-8").strip())
    except errors.OperatorError as error:
        found = [str(error)]
    for line in found:
        print(f"after the deployment: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
