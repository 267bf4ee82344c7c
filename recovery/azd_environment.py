"""The values of one azd environment: which deployment the commands work on, and what a later `azd up` would do.

Read from `.azure/<name>/.env`; without one, from the process (as in a pipeline), and then changes can only be shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from recovery import operator_errors as errors
from recovery.regions import Region

FOLDER = Path(".azure")
SUBSCRIPTION = "AZURE_SUBSCRIPTION_ID"
ACTIVE_REGION = "ACTIVE_REGION"
STORAGE_SKU = "STORAGE_SKU"
SECONDARY_ENDPOINTS = "DEPLOY_SECONDARY_ENDPOINTS"
FENCED_REGION = "FENCED_REGION"
JOURNAL_ACCOUNT = "JOURNAL_ACCOUNT_NAME"


class Environment:
    """Names and values, and the file they are written back to."""

    def __init__(self, name: str, values: Mapping[str, str], file: Path | None = None) -> None:
        self.name = name
        self.values = dict(values)
        self.file = file

    @classmethod
    def load(cls, name: str = "", folder: Path = FOLDER) -> Environment:
        """The named environment, azd's default one, or the process's own variables.

        Raises NotProvisioned when a named environment does not exist.
        """
        name = name or os.environ.get("AZURE_ENV_NAME", "") or _default_name(folder)
        file = folder / name / ".env"
        if name and file.is_file():
            return cls(name, _parse(file.read_text(encoding="utf-8")), file)
        if os.environ.get(SUBSCRIPTION) and os.environ.get("STORAGE_ACCOUNT_NAME"):
            return cls(name or "process", os.environ)
        raise errors.NotProvisioned(
            f"There is no azd environment {name or '(none is selected)'} here. "
            "Select one with: azd env select NAME, or make one with: azd up"
        )

    def need(self, name: str) -> str:
        """The value. Raises NotProvisioned when it is missing."""
        if not (value := self.values.get(name, "")):
            raise errors.NotProvisioned(
                f"The environment {self.name} has no {name}: it was not provisioned from here. "
                "Fetch its values with: azd env refresh, or provision with: azd up"
            )
        return value

    def region(self, role: str) -> Region:
        """The region with the role `primary` or `standby`."""
        if role == "primary":
            names = ("AZURE_PRIMARY_LOCATION", "AZURE_PRIMARY_RESOURCE_GROUP", "SERVICE_ORCHESTRATOR_PRIMARY_NAME",
                     "SERVICE_ORCHESTRATOR_PRIMARY_HOSTNAME", "SERVICE_ORCHESTRATOR_PRIMARY_PRINCIPAL_ID")  # fmt: skip
        else:
            names = ("AZURE_STANDBY_LOCATION", "AZURE_STANDBY_RESOURCE_GROUP", "SERVICE_ORCHESTRATOR_STANDBY_NAME",
                     "SERVICE_ORCHESTRATOR_STANDBY_HOSTNAME", "SERVICE_ORCHESTRATOR_STANDBY_PRINCIPAL_ID")  # fmt: skip
        return Region(role, *(self.need(name) for name in names))

    def change(self, changes: Mapping[str, str]) -> list[str]:
        """Writes values that differ, in one replacement of the file; returns the equivalent azd commands."""
        differing = {name: value for name, value in changes.items() if self.values.get(name) != value}
        self.values.update(differing)
        if differing and self.file is not None:
            lines = [f'{name}="{value}"' for name, value in sorted(self.values.items())]
            replacement = self.file.with_suffix(".new")
            replacement.write_text("\n".join(lines) + "\n", encoding="utf-8")
            os.replace(replacement, self.file)
        return [f"azd env set {name} {value}" for name, value in differing.items()]


def active_region_value(role: str) -> str:
    """The template's word for the region that works: `primary` or `secondary`."""
    return "secondary" if role == "standby" else "primary"


def _default_name(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("defaultEnvironment", ""))


def _parse(text: str) -> dict[str, str]:
    values = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            unquoted = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
            values[name.strip()] = unquoted.replace('\\"', '"')
    return values
