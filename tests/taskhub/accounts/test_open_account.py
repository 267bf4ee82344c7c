"""What `--storage` may name, and what is said when it names something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from taskhub.accounts import open_account
from taskhub.accounts.azure.connect import AZURITE_KEY
from taskhub.errors import AccountNotUsable

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).resolve().parents[3]
CLOUD = f"DefaultEndpointsProtocol=https;AccountName=myaccount;AccountKey={AZURITE_KEY};EndpointSuffix=core.windows.net"


@pytest.mark.parametrize(
    ("specification", "name", "description"),
    [
        (":memory:", "memory", ":memory:"),
        ("UseDevelopmentStorage=true", "devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
            "devstoreaccount1",
            "http://azurite:10000/devstoreaccount1",
        ),
        (CLOUD, "myaccount", "https://myaccount.blob.core.windows.net"),
        ("identity:myaccount", "myaccount", "https://myaccount.blob.core.windows.net"),
        ("https://myaccount.queue.core.windows.net/", "myaccount", "https://myaccount.blob.core.windows.net"),
    ],
)
async def test_an_account_is_opened_by_what_names_it(specification: str, name: str, description: str) -> None:
    account = await open_account(specification)
    assert (account.name, account.description) == (name, description)
    await account.close()


async def test_a_path_names_an_embedded_account(tmp_path: Path) -> None:
    account = await open_account(str(tmp_path / "west.db"))
    assert account.name == "west" and (tmp_path / "west.db").exists()
    await account.close()


@pytest.mark.parametrize(
    "specification",
    [
        "",
        " ",
        "https://example.org/account",
        "AccountName=myaccount",
        f"AccountKey={AZURITE_KEY}",
        f"AccountName=;AccountKey={AZURITE_KEY}",
        "BlobEndpoint=https://myaccount.blob.core.windows.net",
        "identity:My_Account",
        "identity:",
    ],
)
async def test_what_names_no_account_is_refused_without_showing_a_key(specification: str) -> None:
    with pytest.raises(AccountNotUsable) as caught:
        await open_account(specification)
    assert AZURITE_KEY[:20] not in str(caught.value)


async def test_the_embedded_account_needs_no_azure_sdk() -> None:
    script = (
        "import asyncio, sys; from taskhub.accounts import open_account\n"
        "asyncio.run(open_account(':memory:')); assert 'azure' not in sys.modules and 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


async def test_an_account_that_needs_the_azure_sdk_says_how_to_install_it() -> None:
    script = (
        "import asyncio, sys; sys.modules['azure.data.tables'] = None; sys.modules['azure.data'] = None\n"
        "from taskhub.accounts import open_account; from taskhub.errors import AccountNotUsable\n"
        "try: asyncio.run(open_account('UseDevelopmentStorage=true'))\n"
        "except AccountNotUsable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    assert "pip install" in done.stdout
