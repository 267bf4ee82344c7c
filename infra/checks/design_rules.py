"""Stage 6: the thirteen rules of the design, on the resources that the templates expand to.

A rule yields the reason why it is broken; nothing means that it holds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.checks import expansion
from infra.checks.expansion import Resource
from infra.checks.findings import Finding
from infra.checks.modules import arguments
from infra.checks.syntax import parse, templates, text

STORAGE = "Microsoft.Storage/storageAccounts"
SITE = "Microsoft.Web/sites"
VNET = "Microsoft.Network/virtualNetworks"
ENDPOINT = "Microsoft.Network/privateEndpoints"
GROUP_IDS = ["blob", "blob_secondary", "queue", "queue_secondary", "table", "table_secondary"]
MAY_DIFFER = {
    "location", "regionCode", "vnetPrefix", "endpointSubnetPrefix", "functionSubnetPrefix", "active", "serviceTag",
}  # fmt: skip
SKUS_OF_A_LIFE = {"Standard_RAGRS", "Standard_RAGZRS", "Standard_GRS", "Standard_GZRS", "Standard_LRS"}
FORBIDDEN_SETTINGS = ("WEBSITE_CONTENT", "AzureWebJobsStorage__connectionString", "AZURE_STORAGE_KEY")


class Design:
    """What the rules look at: the expansion with the defaults, and with the standby active."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.main = parse(root / "infra" / "main.bicep")
        self.regions = [d for d in self.main.of_kind("module") if d.literal.endswith("/region.bicep")]

    @cached_property
    def resources(self) -> list[Resource]:
        return expansion.expand(self.root)

    @cached_property
    def failed_over(self) -> list[Resource]:
        return expansion.expand(self.root, activeRegion="secondary")

    def of(self, type_: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == type_]

    def hub_account(self) -> Resource:
        return next(r for r in self.of(STORAGE) if r.body["location"] == "westeurope")

    def settings(self, site: Resource) -> dict[str, str]:
        return {row["name"]: row["value"] for row in site.body["properties"]["siteConfig"]["appSettings"]}


def rule_01_two_regions_alike(design: Design) -> Iterator[str]:
    """The region module is instantiated exactly twice, with the same parameters and separate places."""
    if len(design.regions) != 2:
        yield f"the region module is instantiated {len(design.regions)} times, not twice"
        return
    first, second = (arguments(region) for region in design.regions)
    if first.keys() != second.keys():
        yield f"one region has parameters that the other lacks: {sorted(first.keys() ^ second.keys())}"
    networks = [
        ipaddress.ip_network(p)
        for v in design.of(VNET)
        for p in v.body["properties"]["addressSpace"]["addressPrefixes"]
    ]
    if len(networks) == 2 and networks[0].overlaps(networks[1]):
        yield f"the address spaces overlap: {networks[0]} and {networks[1]}"
    if len({v.body["location"] for v in design.of(VNET)}) != 2:
        yield "both networks are in one region"


def rule_02_shared_expressions(design: Design) -> Iterator[str]:
    """Both calls get the same expression for everything that is not the region's own."""
    if len(design.regions) == 2:
        first, second = (arguments(region) for region in design.regions)
        for name in sorted(first.keys() & second.keys() - MAY_DIFFER):
            if text(first[name]) != text(second[name]):
                yield f"{name} is {text(first[name])} in one region and {text(second[name])} in the other"


def rule_03_one_region_active(design: Design) -> Iterator[str]:
    """Exactly one app runs, the primary by default; activeRegion changes the two states and nothing else."""
    expected = (("default", design.resources, "westeurope"), ("secondary", design.failed_over, "northeurope"))
    for label, resources, home in expected:
        running = [
            r.body["location"] for r in resources if r.type == SITE and r.body["properties"]["state"] == "Running"
        ]
        if running != [home]:
            yield f"with activeRegion {label} the running apps are in {running or 'no region'}, expected {home}"
    for before, after in zip(design.resources, design.failed_over, strict=True):
        changed = _differences(before.body, after.body)
        if changed - {"properties.state"}:
            yield f"activeRegion also changes {before.type} {sorted(changed)}"


def _differences(before: Any, after: Any, path: str = "") -> set[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = before.keys() | after.keys()
        below = [_differences(before.get(k), after.get(k), f"{path}.{k}".lstrip(".")) for k in keys]
        return set().union(*below) if below else set()
    return set() if before == after else {path}


def rule_04_site(design: Design) -> Iterator[str]:
    """Every app can be stopped and still deployed to, and speaks only through its network and HTTPS."""
    wanted = {
        "scmSiteAlsoStopped": False, "httpsOnly": True, "enabled": True, "outboundVnetRouting": {"allTraffic": True},
    }  # fmt: skip
    for site in design.of(SITE):
        properties = site.body["properties"]
        for name, value in wanted.items():
            if properties.get(name) != value:
                yield f"{site.name}: {name} must be {value}"
        if "azd-service-name" not in site.body["tags"]:
            yield f"{site.name} has no azd-service-name tag"
        if properties["siteConfig"].get("ftpsState") != "Disabled":
            yield f"{site.name}: FTP must be off"
        allowed = {
            r.body["properties"]["allow"] for r in design.resources if r.type.endswith("PublishingCredentialsPolicies")
        }
        if allowed != {False} or len([r for r in design.resources if r.name.startswith(site.name + "/")]) < 2:
            yield f"{site.name}: basic publishing credentials must be off for scm and ftp"


def rule_05_account(design: Design) -> Iterator[str]:
    """One account holds the hub; nobody reaches it from outside or with a key; its redundancy is a parameter."""
    wanted = {
        "publicNetworkAccess": "Disabled", "allowSharedKeyAccess": False, "minimumTlsVersion": "TLS1_2",
        "allowBlobPublicAccess": False, "supportsHttpsTrafficOnly": True, "dnsEndpointType": "Standard",
    }  # fmt: skip
    homes = [account.body["location"] for account in design.of(STORAGE)]
    if homes.count("westeurope") != 1 or len(homes) > 2:
        yield f"one account for the hub in the primary region and one for the journal are expected, found {homes}"
    for account in design.of(STORAGE):
        for name, value in wanted.items():
            if account.body["properties"].get(name) != value:
                yield f"{account.name}: {name} must be {value}"
        if account.body["properties"].get("networkAcls", {}).get("defaultAction") != "Deny":
            yield f"{account.name}: networkAcls.defaultAction must be Deny"
    yield from _redundancy(design)


def _redundancy(design: Design) -> Iterator[str]:
    sku = design.main.find("storageSku")
    allowed = sku.decorator("allowed") if sku else None
    listed = text(allowed) if allowed else ""
    missing = sorted(name for name in SKUS_OF_A_LIFE if f"'{name}'" not in listed)
    if missing:
        yield f"storageSku must allow every redundancy that the account passes through; missing: {missing}"
    if design.hub_account().body["sku"]["name"] != "Standard_RAGRS":
        yield "the default redundancy must be Standard_RAGRS"


def rule_06_endpoints(design: Design) -> Iterator[str]:
    """Each network has the six endpoints of the hub's account, each writing into the zone of its service."""
    account = design.hub_account().id
    for group in sorted({e.group for e in design.of(ENDPOINT)}):
        pairs = [(e, _connection(e)) for e in design.of(ENDPOINT) if e.group == group]
        ids = [c["groupIds"][0] for _, c in pairs if c["privateLinkServiceId"] == account]
        if ids != GROUP_IDS:
            yield f"{group} has the endpoints {ids}, expected {GROUP_IDS} in this order"
        for endpoint, connection in pairs:
            yield from _zone_of(design, endpoint, connection["groupIds"][0])


def _connection(endpoint: Resource) -> dict[str, Any]:
    connection: dict[str, Any] = endpoint.body["properties"]["privateLinkServiceConnections"][0]["properties"]
    return connection


def _zone_of(design: Design, endpoint: Resource, group_id: str) -> Iterator[str]:
    service = group_id.removesuffix("_secondary")
    wanted = "privatelink.vaultcore." if service == "vault" else f"privatelink.{service}."
    groups = [r for r in design.resources if r.name.startswith(endpoint.name + "/") and r.group == endpoint.group]
    zones = [c["properties"]["privateDnsZoneId"] for g in groups for c in g.body["properties"]["privateDnsZoneConfigs"]]
    if len(zones) != 1 or f"/{wanted}" not in zones[0] or f"/resourceGroups/{endpoint.group}/" not in zones[0]:
        yield f"{endpoint.name} must write into its own region's {wanted}… zone, writes into {zones}"


def rule_07_zones(design: Design) -> Iterator[str]:
    """A zone is linked to its own region's network and to no other."""
    links = design.of("Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    for link in links:
        if f"/resourceGroups/{link.group}/" not in link.body["properties"]["virtualNetwork"]["id"]:
            yield f"{link.name} links a zone of {link.group} to the network of another region"
        if link.body["properties"]["registrationEnabled"]:
            yield f"{link.name} must not register virtual machines"
    for zone in design.of("Microsoft.Network/privateDnsZones"):
        own = [link for link in links if link.group == zone.group and link.name.startswith(zone.name + "/")]
        if len(own) != 1:
            yield f"{zone.name} in {zone.group} has {len(own)} links, expected one"


def rule_08_subnets(design: Design) -> Iterator[str]:
    """Each subnet has a group of rules, lies in its network, and is large enough."""
    for vnet in design.of(VNET):
        space = ipaddress.ip_network(vnet.body["properties"]["addressSpace"]["addressPrefixes"][0])
        for subnet in vnet.body["properties"]["subnets"]:
            properties, where = subnet["properties"], f"{vnet.name}/{subnet['name']}"
            prefix = ipaddress.ip_network(properties["addressPrefix"])
            if "networkSecurityGroup" not in properties:
                yield f"{where} has no network security group"
            if not (isinstance(prefix, ipaddress.IPv4Network) and prefix.subnet_of(space)):  # type: ignore[arg-type]
                yield f"{where} {prefix} lies outside {space}"
            integration = "delegations" in properties
            if prefix.prefixlen > (26 if integration else 28):
                yield f"{where} {prefix} is too small"
        delegated = [s for s in vnet.body["properties"]["subnets"] if "delegations" in s["properties"]]
        if len(delegated) != 1:
            yield f"{vnet.name} must delegate exactly one subnet to the app's plan"


def rule_09_nothing_blocks_a_failover(design: Design) -> Iterator[str]:
    """No change feed, no point-in-time restore, no read-only lock; the account cannot be deleted by mistake."""
    for service in design.of(f"{STORAGE}/blobServices"):
        for name in ("changeFeed", "restorePolicy"):
            if service.body["properties"].get(name, {}).get("enabled"):
                yield f"{name} blocks a planned failover"
    if design.hub_account().body["properties"].get("isNfsV3Enabled"):
        yield "NFSv3 blocks a failover"
    levels = [lock.body["properties"]["level"] for lock in design.of("Microsoft.Authorization/locks")]
    if "ReadOnly" in levels:
        yield "a ReadOnly lock refuses every POST, the failover included"
    if "CanNotDelete" not in levels:
        yield "the account needs a CanNotDelete lock"


def rule_10_no_keys(design: Design) -> Iterator[str]:
    """No template reads keys or declares the keys of a stopped app; publishing is by identity."""
    for template in templates(design.root):
        source = text(template.root)
        for word in ("listKeys(", "AccountKey", "/host/functionkeys", "/host/systemkeys", "SharedAccessSignature"):
            if word.lower() in source.lower():
                yield f"{template.path.name} mentions {word}"


def rule_11_settings(design: Design) -> Iterator[str]:
    """Both apps have the same settings by name, the same hub, an identity, and no content share."""
    both = [design.settings(site) for site in design.of(SITE)]
    if len({frozenset(settings) for settings in both}) != 1:
        yield f"one app has settings that the other lacks: {sorted(set(both[0]) ^ set(both[-1]))}"
    for name in ("TASK_HUB_NAME", "AzureFunctionsJobHost__extensions__durableTask__hubName"):
        if len({settings.get(name) for settings in both}) != 1 or not both[0].get(name):
            yield f"{name} must be set, and the same in both regions"
    for settings in both:
        if settings.get("AzureWebJobsStorage__credential") != "managedidentity":
            yield "AzureWebJobsStorage must use the managed identity"
        for name in settings:
            if name.startswith(FORBIDDEN_SETTINGS):
                yield f"{name} must not be set"


def rule_12_no_literals(design: Design) -> Iterator[str]:
    """No secret, no subscription id, no hard-coded storage suffix."""
    for template in templates(design.root):
        source = text(template.root)
        if "core.windows.net" in source:
            yield f"{template.path.name} hard-codes core.windows.net; use environment().suffixes.storage"
        if "/subscriptions/" in source:
            yield f"{template.path.name} names a subscription"


def rule_13_site_names(design: Design) -> Iterator[str]:
    """The two host ids, made of the first 32 characters of the names, differ."""
    names = [site.name for site in design.of(SITE)]
    for name in names:
        if len(name) > 32:
            yield f"{name} is longer than 32 characters"
    if len({name.lower()[:32] for name in names}) != len(names):
        yield f"the first 32 characters of {names} are the same: the second app would refuse to start"


RULES: dict[str, Callable[[Design], Iterator[str]]] = {
    "design-" + name.removeprefix("rule_").replace("_", "-"): rule
    for name, rule in sorted(globals().items())
    if name.startswith("rule_")
}


def _access(design: Design) -> Iterator[str]:
    grants = [r for r in design.of("Microsoft.Authorization/roleAssignments") if r.body["scope"].type == STORAGE]
    hub = [r for r in grants if r.body["scope"].name == design.hub_account().name]
    if len({r.body["properties"]["principalId"] for r in hub}) != 2 or len(hub) != 6:
        yield f"both identities need the three data roles on the hub's account, found {len(hub)} grants"


def _groups(design: Design) -> Iterator[str]:
    group = design.hub_account().group
    locations = {r.name: r.body["location"] for r in design.of("Microsoft.Resources/resourceGroups")}
    if locations.get(group) != "northeurope":
        yield "the group of the state must be in the secondary region, to be manageable when the primary is down"


def _workspaces(design: Design) -> Iterator[str]:
    if len({w.body["location"] for w in design.of("Microsoft.OperationalInsights/workspaces")}) != 2:
        yield "each region needs a workspace of its own"


def _keys(design: Design) -> Iterator[str]:
    uris = {design.settings(site).get("AzureWebJobsSecretStorageKeyVaultUri") for site in design.of(SITE)}
    if len(uris) != 1 or None in uris:
        yield "both apps must keep their keys in the same vault"
    for vault in design.of("Microsoft.KeyVault/vaults"):
        if vault.body["properties"].get("publicNetworkAccess") != "Disabled":
            yield "the vault must be reachable through private endpoints only"


RULES["design-data-roles"] = _access
RULES["design-state-group"] = _groups
RULES["design-workspaces"] = _workspaces
RULES["design-shared-keys"] = _keys


def check(root: Path) -> Iterator[Finding]:
    """Every rule, on the templates of one tree."""
    design = Design(root)
    for name, rule in RULES.items():
        try:
            broken = list(rule(design))
        except expansion.ExpansionError:
            continue  # The stage before says why.
        except (KeyError, IndexError, StopIteration, ValueError) as error:
            broken = [f"the resource this rule looks at has lost its shape: {error!r}"]
        for reason in broken:
            yield Finding(name, "infra", reason)
