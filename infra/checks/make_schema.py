"""Makes the vendored schema: names, types and flags of the resource types that the templates use.

Run it once when a resource type or an API version is added:

    python -m infra.checks.make_schema <git directory or clone of Azure/bicep-types-az>

The result (`schema/*.json`) holds no descriptions, only what a check needs, so the checks never need the source.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCHEMA_FOLDER = Path(__file__).parent / "schema"

# One row per resource type: the only API version that the templates may use for it.
API_VERSIONS = {
    "Microsoft.Authorization/locks": "2020-05-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.Cdn/profiles": "2025-04-15",
    "Microsoft.Cdn/profiles/afdEndpoints": "2025-04-15",
    "Microsoft.Cdn/profiles/afdEndpoints/routes": "2025-04-15",
    "Microsoft.Cdn/profiles/originGroups": "2025-04-15",
    "Microsoft.Cdn/profiles/originGroups/origins": "2025-04-15",
    "Microsoft.Insights/actionGroups": "2023-01-01",
    "Microsoft.Insights/activityLogAlerts": "2020-10-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
    "Microsoft.Insights/metricAlerts": "2018-03-01",
    "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
    "Microsoft.KeyVault/vaults": "2024-11-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2024-11-30",
    "Microsoft.Network/networkSecurityGroups": "2024-07-01",
    "Microsoft.Network/privateDnsZones": "2024-06-01",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "2024-06-01",
    "Microsoft.Network/privateEndpoints": "2024-07-01",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "2024-07-01",
    "Microsoft.Network/virtualNetworks": "2024-07-01",
    "Microsoft.OperationalInsights/workspaces": "2025-02-01",
    "Microsoft.Resources/resourceGroups": "2025-04-01",
    "Microsoft.Storage/storageAccounts": "2025-01-01",
    "Microsoft.Storage/storageAccounts/blobServices": "2025-01-01",
    "Microsoft.Storage/storageAccounts/queueServices": "2025-01-01",
    "Microsoft.Storage/storageAccounts/tableServices": "2025-01-01",
    "Microsoft.Web/serverfarms": "2024-11-01",
    "Microsoft.Web/sites": "2024-11-01",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "2024-11-01",
    "Microsoft.Web/sites/config": "2024-11-01",
}

REQUIRED, READ_ONLY = 1, 2


class Trimmer:
    """Copies what one resource type reaches out of a `types.json`, without the descriptions."""

    def __init__(self, types: list[dict[str, Any]]) -> None:
        self._types = types
        self._names: dict[int, str] = {}
        self.definitions: dict[str, Any] = {}

    def resource(self, name_and_version: str) -> dict[str, Any]:
        """The schema of one resource: its root definition's name, and every definition reached from it."""
        for entry in self._types:
            if entry["$type"] == "ResourceType" and entry["name"].lower() == name_and_version.lower():
                root = self._trim(entry["body"]["$ref"])
                return {"resource": name_and_version, "root": root, "definitions": self.definitions}
        raise SystemExit(f"{name_and_version} is not in the types given.")

    def _trim(self, reference: str) -> Any:
        index = int(reference.rsplit("/", 1)[1])
        entry = self._types[index]
        trim: Callable[[int, dict[str, Any]], Any] = getattr(self, "_" + entry["$type"], self._simple)
        return trim(index, entry)

    def _simple(self, index: int, entry: dict[str, Any]) -> Any:
        kinds = {"StringType": "string", "IntegerType": "int", "BooleanType": "bool"}
        return kinds.get(entry["$type"], "any")

    def _StringLiteralType(self, index: int, entry: dict[str, Any]) -> Any:
        return {"enum": [entry["value"]]}

    def _UnionType(self, index: int, entry: dict[str, Any]) -> Any:
        members = [self._trim(element["$ref"]) for element in entry["elements"]]
        values = [value for member in members if isinstance(member, dict) for value in member.get("enum", [])]
        return {"enum": values} if values else "any"

    def _ArrayType(self, index: int, entry: dict[str, Any]) -> Any:
        return {"array": self._trim(entry["itemType"]["$ref"])}

    def _ObjectType(self, index: int, entry: dict[str, Any]) -> Any:
        if index not in self._names:
            name = self._names[index] = f"{entry['name']}#{index}"
            self.definitions[name] = {"properties": self._properties(entry["properties"])}
            if "additionalProperties" in entry:
                self.definitions[name]["additional"] = self._trim(entry["additionalProperties"]["$ref"])
        return {"object": self._names[index]}

    def _DiscriminatedObjectType(self, index: int, entry: dict[str, Any]) -> Any:
        if index not in self._names:
            name = self._names[index] = f"{entry['name']}#{index}"
            self.definitions[name] = {}
            self.definitions[name].update(
                discriminator=entry["discriminator"],
                properties=self._properties(entry["baseProperties"]),
                elements={key: self._trim(ref["$ref"])["object"] for key, ref in entry["elements"].items()},
            )
        return {"object": self._names[index]}

    def _properties(self, properties: dict[str, Any]) -> dict[str, Any]:
        return {name: [self._trim(p["type"]["$ref"]), p["flags"] & 3] for name, p in properties.items()}


def _files(repository: str) -> list[str]:
    listing = ["git", "-C", repository, "ls-tree", "-r", "--name-only", "HEAD", "generated/"]
    return subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()


def _sources(repository: str, resource: str, files: list[str]) -> list[list[dict[str, Any]]]:
    ending = f"/{resource.split('/')[0].lower()}/{API_VERSIONS[resource]}/types.json"
    shows = (["git", "-C", repository, "show", f"HEAD:{path}"] for path in files if path.endswith(ending))
    return [json.loads(subprocess.run(show, check=True, capture_output=True).stdout) for show in shows]


def main(repository: str) -> None:
    """Writes one JSON file per resource type."""
    files = _files(repository)
    for resource, version in API_VERSIONS.items():
        wanted = f"{resource}@{version}"
        for types in _sources(repository, resource, files):
            if any(entry.get("name", "").lower() == wanted.lower() for entry in types):
                text = json.dumps(Trimmer(types).resource(wanted), separators=(",", ":"), sort_keys=True)
                (SCHEMA_FOLDER / (resource.replace("/", "_") + ".json")).write_text(text + "\n")
                break
        else:
            raise SystemExit(f"{wanted} was found nowhere in {repository}.")


if __name__ == "__main__":
    main(sys.argv[1])
