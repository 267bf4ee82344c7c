"""What every script calls first: a Python that is new enough, then its environment.

Written so that any Python can at least read it; everything else is in _environment.py.
"""

import sys

OLDEST = (3, 10)

if sys.version_info < OLDEST:
    sys.exit(
        "This is Python %d.%d; the project needs Python %d.%d or newer.\n"  # noqa: UP031
        "Install one from python.org, then name it: python3.12 %s"
        % (sys.version_info[0], sys.version_info[1], OLDEST[0], OLDEST[1], " ".join(sys.argv))
    )

from _environment import ROOT, prepare, prepare_azurite, run  # noqa: E402

__all__ = ["ROOT", "prepare", "prepare_azurite", "run"]
