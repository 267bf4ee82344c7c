"""One call of the storage service: its errors become ours, what is throttled is tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from taskhub.errors import AccountError, AccountNotUsable, AccountUnreachable, Conflict, NotFound, PreconditionFailed

T = TypeVar("T")

# The SDK's own policies do the retrying; its defaults (15, 18 and 24 seconds) are made for batch jobs, not for hosts.
BLOB_AND_QUEUE_RETRIES: dict[str, Any] = {
    "retry_total": 4,
    "initial_backoff": 0.1,  # the pauses: this plus the base to the power of 1, 2, 3, 4 seconds, about 13 in all
    "increment_base": 1.5,
    "random_jitter_range": 0.3,
}
TABLE_RETRIES: dict[str, Any] = {"retry_total": 4, "retry_backoff_factor": 0.5}
# A body above this size would hold up the event loop, so larger blobs go in blocks.
BLOCKS: dict[str, Any] = {"max_single_put_size": 2**20, "max_block_size": 2**20}
TIMEOUTS: dict[str, Any] = {"connection_timeout": 10, "read_timeout": 60}

THROTTLED = 429  # the storage clients retry 503, not this
THROTTLED_TRIES = 4
MAX_THROTTLED_SECONDS = 10.0

# The SDK logs every request as information; a host's log is no place for that.
HTTP_LOGGER = logging.getLogger("taskhub.accounts.azure.http")
HTTP_LOGGER.setLevel(logging.WARNING)

_GONE = {"PopReceiptMismatch", "MessageNotFound"}  # the first is a 400
_BY_STATUS: dict[int, type[AccountError]] = {
    401: AccountNotUsable,
    403: AccountNotUsable,
    404: NotFound,
    408: AccountUnreachable,
    409: Conflict,
    412: PreconditionFailed,
    429: AccountUnreachable,
}


class Caller:
    """Calls one account's services."""

    def __init__(self, description: str, advice: str = "") -> None:
        self.description = description
        self._advice = advice  # what may help when the account does not answer

    async def call(self, work: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        """The answer of one call. Errors: those of `taskhub.errors`, with the service's own code and text."""
        for attempt in range(1, THROTTLED_TRIES + 1):
            try:
                return await work(*arguments, **options)
            except HttpResponseError as error:
                if error.status_code != THROTTLED or attempt == THROTTLED_TRIES:
                    raise self.translated(error) from error
                await asyncio.sleep(_retry_after(error, attempt))
            except (AzureError, asyncio.TimeoutError) as error:
                raise self.translated(error) from error
        raise AssertionError("unreachable")

    def translated(self, error: BaseException) -> AccountError:
        """Our error for one of the SDK's."""
        if isinstance(error, ClientAuthenticationError) and error.response is None:
            return AccountNotUsable(f"No identity could sign in to {self.description}: {_first_line(error)}")
        if isinstance(error, HttpResponseError):
            return self._refused(error)
        if isinstance(error, (ServiceRequestError, ServiceResponseError, asyncio.TimeoutError)):
            return AccountUnreachable(
                f"The storage account {self.description} does not answer: {_first_line(error)}.{self._advice}"
            )
        return AccountError(f"The storage account {self.description} fails: {_first_line(error)}")

    def _refused(self, error: HttpResponseError) -> AccountError:
        code, status = error_code(error), error.status_code or 0
        kind = NotFound if code in _GONE else _BY_STATUS.get(status)
        if kind is None:
            kind = AccountUnreachable if status >= 500 else AccountError
        return kind(f"The storage account {self.description} answers {status} {code}: {_first_line(error)}")


def error_code(error: HttpResponseError) -> str:
    """The service's own word for what is wrong, such as TableNotFound."""
    code = getattr(error, "error_code", None) or _headers(error).get("x-ms-error-code", "")
    return str(getattr(code, "value", code))


def _retry_after(error: HttpResponseError, attempt: int) -> float:
    try:
        asked = float(_headers(error).get("Retry-After", ""))
    except ValueError:
        asked = 0.5 * 2**attempt
    return min(asked, MAX_THROTTLED_SECONDS)


def _headers(error: HttpResponseError) -> Mapping[str, str]:
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    return headers


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0].strip().rstrip(".")
