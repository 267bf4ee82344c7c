"""Mistakes planted in a copy of the templates: each is caught, by the check that is named for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.checks.__main__ import findings

ROOT = Path(__file__).resolve().parents[2]
MAIN = "infra/main.bicep"
STORAGE = "infra/modules/storage.bicep"
ENDPOINTS = "infra/modules/private-endpoints.bicep"
NETWORK = "infra/modules/network.bicep"
APP = "infra/modules/function-app.bicep"
REGION = "infra/modules/region.bicep"
ACCESS = "infra/modules/storage-access.bicep"
MONITORING = "infra/modules/monitoring.bicep"


@dataclass(frozen=True)
class Mistake:
    """One replacement in one file, and the check that must name it."""

    what: str
    file: str
    old: str
    new: str
    check: str


MISTAKES = [
    Mistake("a missing brace", STORAGE, "  sku: { name: skuName }", "  sku: { name: skuName", "syntax"),
    Mistake("a missing comma", APP, "sku: { name: planSku, capacity", "sku: { name: planSku capacity", "syntax"),
    Mistake("an undefined symbol", STORAGE, "name: skuName }", "name: skuNam }", "undeclared-symbol"),
    Mistake("an unknown function", APP, "union(tags,", "merge(tags,", "undeclared-symbol"),
    Mistake("an unused parameter", STORAGE, "  tags: tags\n  kind", "  kind", "unused-symbol"),
    Mistake(
        "a symbol declared twice", ACCESS, "resource account", "var roles = {}\nresource account", "duplicate-symbol"
    ),
    Mistake("an unknown type name", STORAGE, "param tags object", "param tags objekt", "unknown-type"),
    Mistake(
        "a parameter without a description",
        STORAGE,
        "@description('Required. Tags of every resource.')\n",
        "",
        "missing-description",
    ),
    Mistake("a module file that does not exist", REGION, "'network.bicep'", "'networks.bicep'", "missing-module"),
    Mistake(
        "a parameter the module does not have",
        REGION,
        "    includeSecondary: includeSecondary",
        "    withSecondary: includeSecondary",
        "unknown-parameter",
    ),
    Mistake("a parameter that is not given", REGION, "    pinAddresses: pinAddresses\n", "", "missing-parameter"),
    Mistake(
        "an output that does not exist",
        REGION,
        "network.outputs.functionSubnetId",
        "network.outputs.appSubnetId",
        "unknown-output",
    ),
    Mistake(
        "a module that nobody uses",
        MAIN,
        "'modules/front-door-origins.bicep'",
        "'modules/front-door.bicep'",
        "unused-module",
    ),
    Mistake("a resource without a version", STORAGE, "/blobServices@2025-01-01'", "/blobServices'", "api-version"),
    Mistake(
        "two versions of one type", ACCESS, "storageAccounts@2025-01-01", "storageAccounts@2024-01-01", "api-version"
    ),
    Mistake("a misspelt property", STORAGE, "publicNetworkAccess:", "publicNetworkAcces:", "unknown-property"),
    Mistake("a misspelt property deep inside", APP, "linuxFxVersion:", "linuxFXVersion:", "unknown-property"),
    Mistake("a wrong enumeration value", STORAGE, "'TLS1_2'", "'TLS1_9'", "bad-value"),
    Mistake("a text where a truth value belongs", STORAGE, "isHnsEnabled: false", "isHnsEnabled: 'false'", "bad-type"),
    Mistake("a required property left out", NETWORK, "          priority: 4000\n", "", "missing-property"),
    Mistake(
        "a read-only property written",
        STORAGE,
        "    accessTier: 'Hot'",
        "    accessTier: 'Hot'\n    statusOfPrimary: 'available'",
        "read-only-property",
    ),
    Mistake(
        "a resource no variant reaches",
        STORAGE,
        "= {\n  name: 'keep-the-account'",
        "= if (false) {\n  name: 'keep-the-account'",
        "never-expanded",
    ),
    Mistake(
        "one region only",
        MAIN,
        "module standbyRegion 'modules/region.bicep'",
        "module standbyRegion 'modules/regions.bicep'",
        "missing-module",
    ),
    Mistake(
        "overlapping networks",
        MAIN,
        "secondaryVnetPrefix string = '10.100.0.0/24'",
        "secondaryVnetPrefix string = '10.0.0.0/24'",
        "design-01-two-regions-alike",
    ),
    Mistake(
        "both regions in one place",
        MAIN,
        "    location: secondaryLocation\n    regionCode",
        "    location: primaryLocation\n    regionCode",
        "design-01-two-regions-alike",
    ),
    Mistake(
        "another name in the standby",
        MAIN,
        "serviceTag: 'orchestrator-standby'\n    token: token",
        "serviceTag: 'orchestrator-standby'\n    token: 'other'",
        "design-02-shared-expressions",
    ),
    Mistake(
        "the standby running",
        MAIN,
        "active: activeRegion == 'secondary'",
        "active: true",
        "design-03-one-region-active",
    ),
    Mistake(
        "the standby active by default",
        MAIN,
        "param activeRegion string = 'primary'",
        "param activeRegion string = 'secondary'",
        "design-03-one-region-active",
    ),
    Mistake(
        "the state not tied to the region",
        APP,
        "state: active ? 'Running' : 'Stopped'",
        "state: 'Running'",
        "design-03-one-region-active",
    ),
    Mistake(
        "a standby that cannot be deployed to",
        APP,
        "scmSiteAlsoStopped: false",
        "scmSiteAlsoStopped: true",
        "design-04-site",
    ),
    Mistake("plain HTTP", APP, "httpsOnly: true", "httpsOnly: false", "design-04-site"),
    Mistake(
        "basic publishing credentials",
        APP,
        "properties: { allow: false }\n}\n\nresource noBasicFtp",
        "properties: { allow: true }\n}\n\nresource noBasicFtp",
        "design-04-site",
    ),
    Mistake("shared key on", STORAGE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "design-05-account"),
    Mistake(
        "public network access",
        STORAGE,
        "publicNetworkAccess: 'Disabled'",
        "publicNetworkAccess: 'Enabled'",
        "design-05-account",
    ),
    Mistake(
        "a firewall that lets everyone in",
        STORAGE,
        "defaultAction: 'Deny'",
        "defaultAction: 'Allow'",
        "design-05-account",
    ),
    Mistake(
        "a redundancy that cannot be described after a failover", MAIN, "  'Standard_LRS'\n", "", "design-05-account"
    ),
    Mistake(
        "a local account by default",
        MAIN,
        "param storageSku string = 'Standard_RAGRS'",
        "param storageSku string = 'Standard_LRS'",
        "design-05-account",
    ),
    Mistake(
        "a missing queue endpoint",
        ENDPOINTS,
        "  { groupId: 'queue', service: 1, secondary: false }\n",
        "",
        "design-06-endpoints",
    ),
    Mistake(
        "a record in the wrong zone",
        ENDPOINTS,
        "{ groupId: 'table', service: 2",
        "{ groupId: 'table', service: 1",
        "design-06-endpoints",
    ),
    Mistake(
        "a zone linked to the other region's network",
        ENDPOINTS,
        "virtualNetwork: { id: vnetId }",
        "virtualNetwork: { id: replace(vnetId, 'neu', 'weu') }",
        "design-07-zones",
    ),
    Mistake(
        "a zone that nobody is linked to",
        ENDPOINTS,
        "= [for (service, i) in services: {\n  parent: zones[i]",
        "= [for (service, i) in take(services, 2): {\n  parent: zones[i]",
        "design-07-zones",
    ),
    Mistake(
        "a subnet outside its network",
        MAIN,
        "primaryEndpointSubnetPrefix string = '10.0.0.0/28'",
        "primaryEndpointSubnetPrefix string = '10.1.0.0/28'",
        "design-08-subnets",
    ),
    Mistake(
        "an integration subnet too small",
        MAIN,
        "secondaryFunctionSubnetPrefix string = '10.100.0.64/26'",
        "secondaryFunctionSubnetPrefix string = '10.100.0.64/28'",
        "design-08-subnets",
    ),
    Mistake(
        "a subnet without rules",
        NETWORK,
        "          networkSecurityGroup: { id: endpointRules.id }\n",
        "",
        "design-08-subnets",
    ),
    Mistake(
        "the change feed",
        STORAGE,
        "changeFeed: { enabled: false }",
        "changeFeed: { enabled: true }",
        "design-09-nothing-blocks-a-failover",
    ),
    Mistake(
        "a read-only lock", STORAGE, "level: 'CanNotDelete'", "level: 'ReadOnly'", "design-09-nothing-blocks-a-failover"
    ),
    Mistake(
        "keys read by the template",
        STORAGE,
        "output name string = account.name",
        "output name string = account.listKeys().keys[0].value",
        "design-10-no-keys",
    ),
    Mistake(
        "a content share",
        APP,
        "  WEBSITE_RUN_FROM_PACKAGE: '1'",
        "  WEBSITE_CONTENTSHARE: 'share'\n  WEBSITE_RUN_FROM_PACKAGE: '1'",
        "design-11-settings",
    ),
    Mistake(
        "a hub name per region",
        APP,
        "durableTask__hubName: taskHubName",
        "durableTask__hubName: '${taskHubName}${location}'",
        "design-11-settings",
    ),
    Mistake(
        "a connection without identity",
        APP,
        "AzureWebJobsStorage__credential: 'managedidentity'",
        "AzureWebJobsStorage__credential: 'key'",
        "design-11-settings",
    ),
    Mistake(
        "a setting in one region only",
        APP,
        "var journalSettings = empty(journalAccountName) ? {}",
        "var journalSettings = active ? {}",
        "design-11-settings",
    ),
    Mistake(
        "a hard-coded storage suffix",
        ENDPOINTS,
        "${environment().suffixes.storage}",
        "core.windows.net",
        "design-12-no-literals",
    ),
    Mistake(
        "app names that are equal where it counts",
        REGION,
        "siteName: 'func-${namePrefix}'",
        "siteName: 'func-${token}'",
        "design-13-site-names",
    ),
    Mistake(
        "an app name that is too long",
        REGION,
        "siteName: 'func-${namePrefix}'",
        "siteName: 'durable-failover-app-${namePrefix}'",
        "expansion",
    ),
    Mistake("an output of another type", ENDPOINTS, "output zoneIds array", "output zoneIds string", "expansion"),
    Mistake(
        "a misspelt property read", MONITORING, "properties.ConnectionString", "properties.ConectionString", "expansion"
    ),
    Mistake(
        "a role missing",
        ACCESS,
        "  queueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'\n",
        "",
        "design-data-roles",
    ),
    Mistake(
        "rights for one region only",
        MAIN,
        "    principalId: standbyRegion.outputs.principalId\n  }\n}\n\nmodule primaryJournalAccess",
        "    principalId: primaryRegion.outputs.principalId\n  }\n}\n\nmodule primaryJournalAccess",
        "design-data-roles",
    ),
    Mistake(
        "the state's group in the primary region",
        MAIN,
        "-state'\n  location: secondaryLocation",
        "-state'\n  location: primaryLocation",
        "design-state-group",
    ),
    Mistake(
        "one place for both workspaces",
        MONITORING,
        "  name: 'log-${namePrefix}'\n  location: location",
        "  name: 'log-${namePrefix}'\n  location: 'westeurope'",
        "design-workspaces",
    ),
    Mistake(
        "a vault per region",
        APP,
        "KeyVaultUri: vaultUri",
        "KeyVaultUri: '${vaultUri}${location}'",
        "design-shared-keys",
    ),
    Mistake(
        "another tag than the service's name",
        MAIN,
        "serviceTag: 'orchestrator-standby'",
        "serviceTag: 'orchestrator-secondary'",
        "cross-services",
    ),
    Mistake(
        "a group that no output names",
        "azure.yaml",
        "${AZURE_STANDBY_RESOURCE_GROUP}",
        "${AZURE_SECONDARY_GROUP}",
        "cross-services",
    ),
    Mistake(
        "a hook that is not there",
        "azure.yaml",
        "infra/hooks/guard_environment.py",
        "infra/hooks/guard.py",
        "cross-hooks",
    ),
    Mistake(
        "a parameter that is not there", "infra/main.parameters.json", '"planSku"', '"planSize"', "cross-parameters"
    ),
    Mistake(
        "two defaults for one parameter",
        "infra/main.parameters.json",
        "${PLAN_SKU=P1v3}",
        "${PLAN_SKU=P0v3}",
        "cross-parameters",
    ),
    Mistake(
        "a different hub name in host.json",
        "host.json",
        '"hubName": "DurableFailover"',
        '"hubName": "Another"',
        "cross-host-json",
    ),
    Mistake("a standby that waits five minutes", "host.json", '"00:00:10"', '"00:05:00"', "cross-host-json"),
    Mistake("a lease that ends before it is renewed", "host.json", '"00:00:20"', '"00:00:05"', "cross-host-json"),
    Mistake("the app lease off", "host.json", '"useAppLease": true', '"useAppLease": false', "cross-host-json"),
    Mistake(
        "an output that a command reads renamed",
        MAIN,
        "output STORAGE_ACCOUNT_NAME",
        "output STORAGE_NAME",
        "cross-names-in-code",
    ),
    Mistake(
        "another Python in the apps",
        MAIN,
        "param pythonVersion string = '3.12'",
        "param pythonVersion string = '3.13'",
        "cross-python-version",
    ),
    Mistake(
        "a setting that Azure would not have",
        "local.settings.json.example",
        '"PUBLIC_BASE_URL"',
        '"NEW_SETTING"',
        "cross-settings",
    ),
    Mistake(
        "a value nobody explains",
        "infra/main.parameters.json",
        "${PLAN_SKU=P1v3}",
        "${SIZE_OF_PLAN=P1v3}",
        "cross-documented",
    ),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for folder in ("infra/modules", "infra/hooks", "recovery", "docs"):
        ignore = shutil.ignore_patterns("__pycache__", "*.svg")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
    for name in (MAIN, "infra/main.parameters.json", "azure.yaml", "host.json", "local.settings.json.example"):
        shutil.copy(ROOT / name, root / name)
    return root


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.what}-{m.check}".replace(" ", "_"))
def test_a_planted_mistake_is_caught_by_its_check(tree: Path, mistake: Mistake) -> None:
    file = tree / mistake.file
    original = file.read_text()
    assert mistake.old in original, "the planted mistake no longer finds its place"
    file.write_text(original.replace(mistake.old, mistake.new, 1))
    try:
        caught = next((finding for finding in findings(tree) if finding.check == mistake.check), None)
        instead = caught or [str(finding) for finding in findings(tree)]
    finally:
        file.write_text(original)
    assert caught, f"caught by {instead or 'nothing'}"


def test_the_copy_without_a_mistake_is_clean(tree: Path) -> None:
    assert [str(finding) for finding in findings(tree)] == []


def test_every_kind_of_check_catches_something() -> None:
    assert len({mistake.check for mistake in MISTAKES}) >= 35
