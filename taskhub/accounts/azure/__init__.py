"""A real storage account, or Azurite, through the official SDK's asynchronous clients.

    connect    which account, with which credential, from a connection string or the platform's settings
    calls      one call of the service: its errors become ours, what is throttled is tried again
    tables     queues     blobs

Only this package imports the Azure SDK.
"""

from __future__ import annotations

try:
    from taskhub.accounts.azure.connect import from_settings, open_by_identity, open_connection_string
except ModuleNotFoundError as missing:
    from taskhub.errors import AccountNotUsable

    raise AccountNotUsable(
        f"Azurite and real storage accounts need the Azure SDK, and {missing.name} is not installed: "
        "pip install azure-storage-queue azure-storage-blob azure-data-tables aiohttp azure-identity"
    ) from missing

__all__ = ["from_settings", "open_by_identity", "open_connection_string"]
