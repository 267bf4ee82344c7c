"""Azure Resource Manager over REST: tokens, retries, and long operations that outlive a token.

The rules of Azure that this follows: a long operation answers 202 with `Location` (or `Azure-AsyncOperation`), which
is asked again after `Retry-After` seconds until it no longer answers 202; a 401 in between means that the token has
expired; a 404 in between is transient (the resource moves); 429 and 503 ask for patience.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

from recovery import operator_errors as errors

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

ENDPOINT = "https://management.azure.com"
SCOPE = "https://management.azure.com/.default"
TRIES = 5
DEFAULT_RETRY_SECONDS = 20
OPERATION_DEADLINE = timedelta(minutes=90)
TRANSIENT = {408, 429, 500, 502, 503, 504}


class PollingClock(Protocol):
    """Tells the time in UTC, and waits."""

    def now(self) -> datetime:
        """The current moment, timezone-aware, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        ...


class SystemPollingClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Response:
    """What came back: status, headers in lower case, parsed JSON."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def retry_seconds(self) -> float:
        """How long the server asks to wait; a date instead of seconds counts as the default."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isdigit() else DEFAULT_RETRY_SECONDS

    @property
    def error(self) -> tuple[str, str]:
        """Code and message of an ARM error document."""
        document = self.body.get("error", {}) if isinstance(self.body, dict) else {}
        return str(document.get("code", "Error")), str(document.get("message", "no message"))


class Transport(Protocol):
    """The only thing here that touches a network."""

    def send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Response:
        """Sends one request.

        Raises ConnectionError when no answer came.
        """
        ...


class Credential(Protocol):
    """Where tokens come from."""

    def token(self, renew: bool = False) -> str:
        """A bearer token for ARM; a new one when `renew`.

        Raises NotLoggedIn when there is nobody to ask.
        """
        ...


class RequestsTransport:
    """HTTPS through `requests`."""

    def __init__(self, timeout_seconds: float = 60) -> None:
        import requests

        self._session = requests.Session()
        self._timeout = timeout_seconds

    def send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Response:
        import requests

        try:
            answer = self._session.request(method, url, json=body, headers=headers, timeout=self._timeout)
        except requests.RequestException as error:
            raise ConnectionError(str(error)) from error
        try:
            parsed = answer.json() if answer.content else None
        except json.JSONDecodeError:
            parsed = answer.text
        return Response(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, parsed)


class TokenSource(Protocol):
    """What of a credential of `azure-identity` is used here."""

    def get_token(self, *scopes: str) -> AccessToken:
        """A token. Raises ClientAuthenticationError when nobody is signed in."""
        ...


def _whoever_is_signed_in() -> TokenSource:
    from azure.identity import AzureDeveloperCliCredential, ChainedTokenCredential, DefaultAzureCredential

    # azd first: it deployed this environment, and another tool may be signed in to another tenant.
    others = DefaultAzureCredential(exclude_interactive_browser_credential=True)
    return ChainedTokenCredential(AzureDeveloperCliCredential(), others)


class AzureCredential:
    """Tokens of whoever is signed in with azd, az, a managed identity or a workload identity."""

    def __init__(self, source: TokenSource | None = None) -> None:
        self._credential = source or _whoever_is_signed_in()
        self._token = ""
        self._expires = 0.0

    def token(self, renew: bool = False) -> str:
        if renew or time.time() > self._expires - 300:
            self._fetch()
        return self._token

    def _fetch(self) -> None:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            fetched = self._credential.get_token(SCOPE)
        except ClientAuthenticationError as error:
            raise errors.NotLoggedIn(
                "Nobody is signed in to Azure on this machine. Sign in with: azd auth login (or az login)"
            ) from error
        self._token, self._expires = fetched.token, fetched.expires_on


Progress = Callable[[str], None]


def _silent(message: str) -> None:
    return None


class Arm:
    """One subscription's management plane."""

    def __init__(self, transport: Transport, credential: Credential, clock: PollingClock, subscription: str) -> None:
        self._transport = transport
        self._credential = credential
        self.clock = clock
        self.subscription = subscription

    def token(self) -> str:
        """A bearer token, for the services beside ARM that accept it."""
        return self._credential.token()

    def url(self, path: str, api_version: str, **query: str) -> str:
        """The address of a resource of this subscription."""
        parts = [f"api-version={api_version}", *(f"{name}={value}" for name, value in query.items() if value)]
        return f"{ENDPOINT}/subscriptions/{self.subscription}/{path}?{'&'.join(parts)}"

    def get(self, url: str, tries: int = TRIES) -> Any:
        """The parsed answer.

        Raises NotFound, ArmError, ArmUnavailable.
        """
        return self.request("GET", url, None, tries).body

    def request(self, method: str, url: str, body: Any = None, tries: int = TRIES) -> Response:
        """One request, tried again while the answer asks for it: GET, PUT, PATCH, DELETE, and the idempotent POSTs.

        Raises NotFound, ArmError (409 included), ArmUnavailable.
        """
        for attempt in range(1, tries + 1):
            answer = self._once(method, url, body, renew=False)
            if answer is not None and answer.status == 401:
                answer = self._once(method, url, body, renew=True)
            if answer is not None and answer.status not in TRANSIENT:
                return self._accepted(answer)
            if attempt < tries:
                self.clock.sleep(min(answer.retry_seconds if answer else 2**attempt, 60))
        raise errors.ArmUnavailable(
            f"Azure did not answer {method} {url.split('?')[0]} after {tries} tries. "
            "Look at the status page of Azure, then run the command again: it goes on where it was."
        )

    def _once(self, method: str, url: str, body: Any, renew: bool) -> Response | None:
        headers = {"Authorization": f"Bearer {self._credential.token(renew)}"}
        try:
            return self._transport.send(method, url, body, headers)
        except ConnectionError:
            return None

    def _accepted(self, answer: Response) -> Response:
        if answer.status < 400:
            return answer
        code, message = answer.error
        if answer.status == 401:
            raise errors.NotLoggedIn(f"Azure does not accept the sign-in ({code}). Sign in again with: azd auth login")
        raise (errors.NotFound if answer.status == 404 else errors.ArmError)(answer.status, code, message)

    def finished(self, operation: str) -> tuple[bool, float]:
        """Asks once for a long operation: whether it has ended, and the seconds to wait before asking again.

        Raises ArmError when it ended in failure. A 404 counts as still running: reads during a failover may not
        find what is being moved.
        """
        try:
            answer = self.request("GET", operation)
        except (errors.NotFound, errors.ArmUnavailable):
            return False, DEFAULT_RETRY_SECONDS
        status = answer.body.get("status", "") if isinstance(answer.body, dict) else ""
        if status in ("Failed", "Canceled"):
            raise errors.ArmError(answer.status, *answer.error)
        return answer.status != 202 and status not in ("InProgress", "Running"), answer.retry_seconds

    def wait_until(
        self, done: Callable[[], tuple[bool, float]], what: str, limit: timedelta, say: Progress = _silent
    ) -> None:
        """Asks until it is done, saying how long it has taken.

        Raises ArmUnavailable after the limit.
        """
        started = self.clock.now()
        while True:
            ended, seconds = done()
            elapsed = self.clock.now() - started
            if ended:
                return
            if elapsed > limit:
                raise errors.ArmUnavailable(
                    f"{what} has not ended after {int(limit.total_seconds() // 60)} minutes. "
                    "It may still end: run the command again, and it goes on where it was."
                )
            say(f"{what}: {_clock_text(elapsed)}")
            self.clock.sleep(seconds)


def _clock_text(elapsed: timedelta) -> str:
    minutes, seconds = divmod(int(elapsed.total_seconds()), 60)
    return f"{minutes} min {seconds:02} s"
