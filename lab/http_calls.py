"""The built-in activity behind `call_http`: sends one HTTP request for an orchestrator and records the answer.

It stands in for `TaskHttpActivityShim` of the Durable extension, which sends with .NET's HttpClient; the texts of
failures are those that HttpClient gives on Linux, as far as they are known. Any answer is a result, also 4xx and 5xx,
and also 202: for Python apps the extension does not poll. Only a call without an answer fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

ACTIVITY_NAME = "BuiltIn::HttpActivity"
TIMEOUT_SECONDS = 100.0  # HttpClient's own
MAX_REDIRECTS = 50  # HttpClientHandler's own

_AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # HttpClient sends none of them unasked
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTENT_HEADERS = {  # .NET counts these to the content, not to the request or response
    "allow", "content-disposition", "content-encoding", "content-language", "content-length", "content-location",
    "content-md5", "content-range", "content-type", "expires", "last-modified",
}  # fmt: skip
_NOT_ABSOLUTE = (
    "An invalid request URI was provided. Either the request URI must be an absolute URI or BaseAddress must be set."
)
_TIMED_OUT = "The request was canceled due to the configured HttpClient.Timeout of {:g} seconds elapsing."
_MISUSED_HEADER = (
    "Misused header name, '{}'. Make sure request headers are used with HttpRequestMessage, response headers with "
    "HttpResponseMessage, and content headers with HttpContent objects."
)
_NO_IDENTITY = (
    "This machine has no managed identity to get the token from that the call to {} asks for; nothing was sent. "
    "Leave token_source out when running locally."
)


class HttpCallFailed(Exception):
    """There is no answer to record; the text is the reason that the orchestrator sees."""


class HttpCall(NamedTuple):
    """A request as it is sent."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes | None


async def run_http_call(
    session: aiohttp.ClientSession, input_text: str, timeout_seconds: float = TIMEOUT_SECONDS
) -> str:
    """Sends the request that the activity's input describes and returns the answer as the activity's result.

    `input_text` is the JSON of a durable HTTP request (method, uri, headers, content, tokenSource), or of a list with
    that as its first item, as the extension schedules it. The result is the JSON of `statusCode`, `headers` and
    `content`. HttpCallFailed: the request cannot be sent, or nobody answered it.
    """
    call = read_call(input_text)
    try:
        async with session.request(
            call.method,
            call.url,
            headers=call.headers,
            data=call.body,
            skip_auto_headers=_AUTO_HEADERS,
            max_redirects=MAX_REDIRECTS,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            raise_for_status=False,
        ) as response:
            return _result(response, await response.read())
    except asyncio.TimeoutError as error:
        raise HttpCallFailed(_TIMED_OUT.format(timeout_seconds)) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise HttpCallFailed(_reason(error)) from error


# the request


def read_call(input_text: str) -> HttpCall:
    """The request that the activity's input describes. HttpCallFailed: it cannot be sent."""
    request = _request(input_text)
    method, content = request.get("method"), request.get("content")
    url = _url(request.get("uri"))
    headers, content_type = _headers(request.get("headers"))
    if request.get("tokenSource") is not None:
        raise HttpCallFailed(_NO_IDENTITY.format(url))
    if not isinstance(method, str):
        method = "GET"
    if not _TOKEN.fullmatch(method):
        raise HttpCallFailed("The format of the HTTP method is invalid.")
    body = None
    if content is not None:
        body = _string(content).encode("utf-8", "replace")
        headers["Content-Type"] = _with_charset(content_type or "text/plain")
    return HttpCall(method, url, headers, body)


def _request(input_text: str) -> dict[str, Any]:
    try:
        request = json.loads(input_text)
    except ValueError as error:
        raise HttpCallFailed(f"The input of {ACTIVITY_NAME} is not JSON: {error}") from error
    if isinstance(request, list) and request:
        request = request[0]
    if not isinstance(request, dict):
        raise HttpCallFailed(f"The input of {ACTIVITY_NAME} is no HTTP request, but {input_text[:100]}")
    return request


def _url(uri: Any) -> URL:
    try:
        url = URL(uri)
    except (TypeError, ValueError) as error:
        if uri is None:
            raise HttpCallFailed(_NOT_ABSOLUTE) from error
        raise HttpCallFailed(f"Invalid URI: {error}") from error
    if not url.scheme:
        raise HttpCallFailed(_NOT_ABSOLUTE)
    if url.scheme not in ("http", "https"):
        raise HttpCallFailed(f"The '{url.scheme}' scheme is not supported.")
    if not url.host:
        raise HttpCallFailed("Invalid URI: The hostname could not be parsed.")
    return url


def _headers(given: Any) -> tuple[CIMultiDict[str], str]:
    """The request's headers but for the content's, and the content type."""
    headers: CIMultiDict[str] = CIMultiDict()
    content_type = ""
    for name, value in _pairs(given):
        if name.lower() == "content-type":
            if "multipart" in value:
                raise HttpCallFailed("Multipart content is not supported with CallHttpAsync.")
            content_type = value
        elif name.lower() in _CONTENT_HEADERS:
            raise HttpCallFailed(_MISUSED_HEADER.format(name))
        else:
            headers.add(name, value)
    return headers, content_type


def _pairs(given: Any) -> Iterator[tuple[str, str]]:
    if given is None:
        return
    if not isinstance(given, dict):
        raise HttpCallFailed(f"The headers of an HTTP call are an object of names and values, not {json.dumps(given)}.")
    for name, values in given.items():
        if not _TOKEN.fullmatch(name):
            raise HttpCallFailed(f"The header name '{name}' has an invalid format.")
        for value in values if isinstance(values, list) else [values]:
            text = _string(value)
            if any(character in text for character in "\r\n\0"):
                raise HttpCallFailed(f"The value of header '{name}' has more than one line.")
            yield name, text


def _string(value: Any) -> str:
    """A JSON value where .NET expects a string."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _with_charset(content_type: str) -> str:
    """The content type as it is sent: only a form's gets the charset that .NET adds to a text."""
    form = content_type.lower() == "application/x-www-form-urlencoded"
    return f"{content_type}; charset=utf-8" if form else content_type


# the answer


def _result(response: aiohttp.ClientResponse, body: bytes) -> str:
    answer = {"statusCode": response.status, "headers": _recorded(response), "content": _content(response, body)}
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False)


def _recorded(response: aiohttp.ClientResponse) -> dict[str, str | list[str]]:
    """The response's headers but for the content's; a repeated one has a list of values."""
    recorded: dict[str, str | list[str]] = {}
    for name in dict.fromkeys(key.lower() for key in response.headers):
        if name not in _CONTENT_HEADERS:
            values = response.headers.getall(name)
            spelled = next(key for key in response.headers if key.lower() == name)
            recorded[spelled] = values if len(values) > 1 else values[0]
    return recorded


def _content(response: aiohttp.ClientResponse, body: bytes) -> str:
    charset = (response.charset or "utf-8").lower()
    try:
        return body.decode("utf-8-sig" if charset in ("utf-8", "utf8") else charset, "replace")
    except LookupError as error:
        raise HttpCallFailed(
            "The character set provided in ContentType is invalid. Cannot read content as string using an invalid "
            "character set."
        ) from error


def _reason(error: Exception) -> str:
    """What HttpClient says of the failure."""
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)):
        return f"The SSL connection could not be established, see inner exception. {error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{_system_text(error)} ({error.host}:{error.port})"
    if isinstance(error, aiohttp.TooManyRedirects):
        return f"There were more than {MAX_REDIRECTS} redirections."
    if isinstance(error, aiohttp.ClientPayloadError):
        return "Error while copying content to a stream."
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "An error occurred while sending the request. The response ended prematurely."
    return f"An error occurred while sending the request. {error}"


def _system_text(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "Name or service not known"
    if isinstance(error.os_error, ConnectionRefusedError):
        return "Connection refused"
    number = error.os_error.errno
    return os.strerror(number) if number else str(error.os_error)
