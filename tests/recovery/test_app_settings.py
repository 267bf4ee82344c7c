"""The hub and the accounts that the app's settings name are told apart by name and address."""

from __future__ import annotations

import json

import pytest

from recovery.app_settings import (
    EMULATOR_ADDRESS,
    HUB_NAME,
    account_in,
    address_of,
    hub_address_of,
    setting_address,
    task_hub_of,
)

KEYS = "DefaultEndpointsProtocol=https;AccountName=stshop;AccountKey=c2VjcmV0"


@pytest.mark.parametrize(
    ("environment", "host_json", "name"),
    [
        ({}, '{"extensions": {"durableTask": {"hubName": "Shop"}}}', "Shop"),
        ({HUB_NAME: "Other"}, '{"extensions": {"durableTask": {"hubName": "Shop"}}}', "Other"),
        ({}, '{"extensions": {"durableTask": {"hubName": "%HUB%"}}}', ""),
        ({}, '{"extensions": []}', ""),
        ({}, "{", ""),
    ],
)
def test_the_task_hub_is_the_one_that_the_app_is_set_to(tmp_path, environment, host_json, name):
    (tmp_path / "host.json").write_text(host_json)
    assert task_hub_of(environment, tmp_path) == name
    assert task_hub_of({"AzureWebJobsScriptRoot": str(tmp_path), **environment}) == name


@pytest.mark.parametrize(
    ("place", "address", "name"),
    [
        ("identity:stshop", "stshop.blob.core.windows.net", "stshop"),
        (KEYS, "stshop.blob.core.windows.net", "stshop"),
        (f"{KEYS};EndpointSuffix=core.chinacloudapi.cn", "stshop.blob.core.chinacloudapi.cn", "stshop"),
        ("UseDevelopmentStorage=true", EMULATOR_ADDRESS, ""),
        ("AccountName=devstoreaccount1;AccountKey=x==;BlobEndpoint=http://127.0.0.1:24000/devstoreaccount1;",
         "127.0.0.1:24000/devstoreaccount1", ""),
        ("BlobEndpoint=https://stshop.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x",
         "stshop.blob.core.windows.net", "stshop"),
        (".lab/account.db", "", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_an_account_is_known_by_its_name_and_the_emulators_name_says_nothing(place, address, name):
    assert address_of(place) == address and account_in(address) == name
    assert setting_address({"X": place.removeprefix("identity:")}, "X") == ("" if "identity" in place else address)


def test_an_account_by_identity_is_named_or_addressed():
    assert setting_address({"X__accountName": "stshop"}, "X") == "stshop.blob.core.windows.net"
    addressed = {"X__blobServiceUri": "https://stshop.blob.core.windows.net/"}
    assert setting_address(addressed, "X") == "stshop.blob.core.windows.net"


def test_the_hubs_account_is_that_of_the_connection_that_host_json_names(tmp_path):
    environment = {"AzureWebJobsStorage__accountName": "stapp", "HUB_STORE__accountName": "sthub"}
    (tmp_path / "host.json").write_text("{}")
    assert account_in(hub_address_of(environment, tmp_path)) == "stapp"
    for key, name, account in (("connectionName", "HUB_STORE", "sthub"), ("connectionStringName", "Storage", "stapp")):
        durable = {"storageProvider": {key: name}}
        (tmp_path / "host.json").write_text(json.dumps({"extensions": {"durableTask": durable}}))
        assert account_in(hub_address_of(environment, tmp_path)) == account
