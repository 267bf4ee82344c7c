"""The platform's settings for the storage account."""

from __future__ import annotations

import pytest

from taskhub.accounts.azure import from_settings
from taskhub.errors import AccountNotUsable

pytestmark = pytest.mark.asyncio

ADDRESSES = {
    "AzureWebJobsStorage__blobServiceUri": "https://a1b2c3.blob.core.windows.net",
    "AzureWebJobsStorage__queueServiceUri": "https://a1b2c3.queue.core.windows.net",
    "AzureWebJobsStorage__tableServiceUri": "https://a1b2c3.table.core.windows.net",
}


@pytest.mark.parametrize(
    ("environ", "description"),
    [
        ({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, "http://127.0.0.1:10000/devstoreaccount1"),
        ({"AzureWebJobsStorage__accountName": "a1b2c3"}, "https://a1b2c3.blob.core.windows.net"),
        (
            {
                "AzureWebJobsStorage__accountName": "a1b2c3",
                "AzureWebJobsStorage__credential": "managedidentity",
                "AzureWebJobsStorage__clientId": "00000000-0000-0000-0000-000000000001",
            },
            "https://a1b2c3.blob.core.windows.net",
        ),
        (ADDRESSES, "https://a1b2c3.blob.core.windows.net"),
    ],
)
async def test_the_settings_name_the_account(environ: dict[str, str], description: str) -> None:
    account = from_settings(environ)
    assert account.description == description
    await account.close()


async def test_another_setting_may_name_the_account() -> None:
    account = from_settings({"Orders__accountName": "orders"}, "Orders")
    assert account.name == "orders"
    await account.close()


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({}, "AzureWebJobsStorage__accountName"),
        (dict(list(ADDRESSES.items())[:2]), "AzureWebJobsStorage__tableServiceUri"),
        ({**ADDRESSES, "AzureWebJobsStorage__queueServiceUri": "http://a1b2c3.queue.example.org"}, "https://"),
        ({**ADDRESSES, "AzureWebJobsStorage__credential": "password"}, "managedidentity"),
    ],
)
async def test_settings_that_name_no_account_are_refused(environ: dict[str, str], word: str) -> None:
    with pytest.raises(AccountNotUsable, match=word):
        from_settings(environ)
