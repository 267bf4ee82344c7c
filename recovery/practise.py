"""Bring a disaster over the small Azure of `--fake`, to practise the runbook on.

python -m recovery practise lose westeurope      the region is gone, with its app and its management plane
python -m recovery practise return westeurope    it comes back, with its app as it was
python -m recovery practise reset                everything is new again
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from recovery import arm_fake
from recovery.azd_environment import FOLDER

REGIONS = sorted(arm_fake.PRINCIPALS)


def main(command: str, arguments: list[str]) -> int:
    """Changes the small Azure; 0 done, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog=f"python -m recovery {command}", description="A disaster for --fake.")
    parser.add_argument("what", choices=["lose", "return", "reset"])
    parser.add_argument("region", nargs="?", default="westeurope", choices=REGIONS)
    parser.add_argument("--folder", default=str(FOLDER), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    folder = Path(options.folder) / "fake"
    if options.what == "reset":
        shutil.rmtree(folder, ignore_errors=True)
        print("The small Azure is new again.")
        return 0
    _change(folder / "azure.json", options.what, options.region)
    return 0


def _change(file: Path, what: str, region: str) -> None:
    azure = arm_fake.load(file)
    (azure.lose_region if what == "lose" else azure.bring_back)(region)
    azure.save(file)
    print(f"{region} {'is lost' if what == 'lose' else 'is back'}. Look: python -m recovery status --fake")
    for violation in azure.violations:
        print(f"This must never happen: {violation}")
