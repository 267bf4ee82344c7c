"""`python -m infra.checks [ROOT]`: runs every stage, prints what is wrong, and ends with 1 if anything is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from infra.checks import api_versions, cross_files, design_rules, modules, properties, symbols, syntax
from infra.checks.findings import Finding

STAGES = (syntax, symbols, modules, api_versions, properties, design_rules, cross_files)


def findings(root: Path) -> Iterator[Finding]:
    """Everything that is wrong with the templates of one tree, stage by stage."""
    for stage in STAGES:
        yield from stage.check(root)


def main(arguments: list[str]) -> int:
    """Prints the findings; 0 when there are none."""
    root = Path(arguments[0] if arguments else ".").resolve()
    found = list(findings(root))
    print("\n".join(map(str, found)) or f"{len(STAGES)} stages, nothing found.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
