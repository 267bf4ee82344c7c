"""What the app's settings say of its task hub and of the accounts: names and addresses, never keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HUB_NAME = "AzureFunctionsJobHost__extensions__durableTask__hubName"
STORAGE = "AzureWebJobsStorage"
EMULATOR = "devstoreaccount1"  # everybody's: its name says nothing
EMULATOR_ADDRESS = f"127.0.0.1:10000/{EMULATOR}"


def task_hub_of(environment: Mapping[str, str], folder: Path | None = None) -> str:
    """The task hub's name as the app's setting or host.json gives it, the empty text when neither tells."""
    name = environment.get(HUB_NAME, "") or _durable(environment, folder).get("hubName")
    return name if isinstance(name, str) and "%" not in name else ""


def hub_address_of(environment: Mapping[str, str], folder: Path | None = None) -> str:
    """Where the blobs of the hub's account are, as `address_of` gives it; host.json may name another connection."""
    storage = _durable(environment, folder).get("storageProvider")
    given = storage if isinstance(storage, dict) else {}
    name = given.get("connectionName") or given.get("connectionStringName") or STORAGE
    return setting_address(environment, str(name)) or setting_address(environment, f"AzureWebJobs{name}")


def setting_address(environment: Mapping[str, str], setting: str) -> str:
    """Where the blobs of the account are that a setting names: by identity, or by a connection string."""
    account = environment.get(f"{setting}__accountName", "").strip()
    if account:
        return address_of(f"identity:{account}")
    return _bare(environment.get(f"{setting}__blobServiceUri", "")) or address_of(environment.get(setting, ""))


def address_of(place: str) -> str:
    """The blob service of `identity:NAME` or a connection string, without scheme; empty for a directory or a file."""
    if place.startswith("identity:"):
        return f"{place.removeprefix('identity:').strip()}.blob.core.windows.net".lower()
    pairs = (part.split("=", 1) for part in place.split(";") if "=" in part)
    parts = {name.strip().lower(): value.strip() for name, value in pairs}
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        return EMULATOR_ADDRESS
    if "blobendpoint" in parts:
        return _bare(parts["blobendpoint"])
    suffix = parts.get("endpointsuffix", "core.windows.net")
    return f"{parts['accountname']}.blob.{suffix}".lower() if parts.get("accountname") else ""


def account_in(address: str) -> str:
    """The account's name in such an address; empty for the emulator's, which is everybody's."""
    host, _, path = address.partition("/")
    name = path or host.split(".")[0]
    return "" if name == EMULATOR else name


def _bare(url: str) -> str:
    return url.strip().partition("://")[2].rstrip("/").lower()


def _durable(environment: Mapping[str, str], folder: Path | None) -> dict[str, Any]:
    """What host.json says of the Durable extension; nothing when it cannot be read, which the host will tell."""
    root = folder or Path(environment.get("AzureWebJobsScriptRoot") or Path.cwd())
    try:
        found = json.loads((root / "host.json").read_text(encoding="utf-8"))["extensions"]["durableTask"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
