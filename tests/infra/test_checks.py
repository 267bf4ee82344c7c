"""The templates as they are pass every stage; and the checks' own machinery holds."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from infra.checks import cross_files, design_rules, expansion, symbols
from infra.checks.__main__ import STAGES, findings
from infra.checks.syntax import parse, templates

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__.rsplit(".", 1)[1])
def test_the_templates_pass_stage(stage: object) -> None:
    assert [str(finding) for finding in stage.check(ROOT)] == []  # type: ignore[attr-defined]


def test_every_module_with_a_check_is_a_stage() -> None:
    names = {path.stem for path in (ROOT / "infra" / "checks").glob("*.py") if "\ndef check(" in path.read_text()}
    assert {stage.__name__.rsplit(".", 1)[1] for stage in STAGES} == names
    assert list(findings(ROOT)) == []


def test_every_template_is_read() -> None:
    assert len(templates(ROOT)) == len(list((ROOT / "infra").rglob("*.bicep"))) > 10


def test_the_expansion_has_the_inventory_of_the_design() -> None:
    resources = expansion.expand(ROOT, deployJournal=False, clientAuth="entra", entraClientId="client")
    counts = {type_: len([r for r in resources if r.type == type_]) for type_ in {r.type for r in resources}}
    expected = {
        "Microsoft.Resources/resourceGroups": 3,
        "Microsoft.Storage/storageAccounts": 1,
        "Microsoft.ManagedIdentity/userAssignedIdentities": 2,
        "Microsoft.Network/networkSecurityGroups": 4,
        "Microsoft.Network/virtualNetworks": 2,
        "Microsoft.Network/privateDnsZones": 6,
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks": 6,
        "Microsoft.Network/privateEndpoints": 12,
        "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": 12,
        "Microsoft.OperationalInsights/workspaces": 2,
        "Microsoft.Insights/components": 2,
        "Microsoft.Web/serverfarms": 2,
        "Microsoft.Web/sites": 2,
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies": 4,
    }
    assert {type_: counts[type_] for type_ in expected} == expected


def test_pinned_addresses_are_those_of_the_first_design() -> None:
    resources = expansion.expand(ROOT, pinEndpointAddresses=True)
    pinned = [
        (configuration["properties"]["groupId"], configuration["properties"]["privateIPAddress"])
        for resource in resources
        for configuration in resource.body.get("properties", {}).get("ipConfigurations", [])
    ]
    assert pinned[:2] == [("blob", "10.0.0.4"), ("blob_secondary", "10.0.0.5")]
    assert pinned[6] == ("blob", "10.100.0.4")
    assert all(ipaddress.ip_address(address).is_private for _, address in pinned)


def test_after_an_unplanned_failover_no_endpoint_of_a_secondary_is_asked_for() -> None:
    resources = expansion.expand(ROOT, deploySecondaryEndpoints=False)
    assert [r for r in resources if r.type.endswith("privateEndpoints") and "secondary" in r.name] == []


def test_a_fenced_region_gets_no_rights_on_the_hub() -> None:
    def grants(**parameters: str) -> int:
        resources = expansion.expand(ROOT, **parameters)
        return len([r for r in resources if r.type.endswith("roleAssignments") and "stu" in str(r.body["scope"])])

    assert grants() - grants(fencedRegion="primary") == 3


def test_entra_instead_of_keys_needs_no_vault_and_turns_authentication_on() -> None:
    resources = expansion.expand(ROOT, clientAuth="entra", entraClientId="client")
    assert not [r for r in resources if "KeyVault" in r.type or "vault" in r.name]
    assert len([r for r in resources if r.name.endswith("/authsettingsV2")]) == 2


def test_behind_front_door_only_front_door_reaches_the_apps() -> None:
    resources = expansion.expand(ROOT, deployFrontDoor=True)
    for site in (r for r in resources if r.type == "Microsoft.Web/sites"):
        config = site.body["properties"]["siteConfig"]
        assert config["ipSecurityRestrictionsDefaultAction"] == "Deny"
        assert config["ipSecurityRestrictions"][0]["ipAddress"] == "AzureFrontDoor.Backend"


def test_a_value_that_a_parameter_does_not_allow_cannot_be_expanded() -> None:
    with pytest.raises(expansion.ExpansionError, match="storageSku"):
        expansion.expand(ROOT, storageSku="Standard_ZRS")


def test_negation_before_a_member_is_read_as_bicep_means_it(tmp_path: Path) -> None:
    file = tmp_path / "main.bicep"
    file.write_text("param a bool\nparam o object\noutput x bool = a || !o.b\noutput y int = 1 + o.c.d\n")
    instance = expansion.Instance(parse(file), {"a": False, "o": {"b": True, "c": {"d": 2}}}, "g")
    assert instance.output("x") is False
    assert instance.output("y") == 3


def test_the_rules_have_names_that_do_not_collide() -> None:
    names = [*symbols.RULES, *design_rules.RULES, *cross_files.RULES]
    assert len(names) == len(set(names)) >= 25
