"""HTTP triggers: finds the function a request is for, lets the worker run it, turns what it says into a response."""

from __future__ import annotations

import re
from collections.abc import Callable

from lab.function_index import FunctionIndex
from lab.incoming import Incoming
from lab.keys import Keys
from lab.routes import RouteTable
from lab.worker import FunctionInfo, HttpRequest, HttpResponse, InvocationFailed, Worker, WorkerGone

NOT_FOUND = HttpResponse(404, [], b"")
UNAUTHORIZED = HttpResponse(401, [], b"")
FAILED = HttpResponse(500, [], b"")
UNAVAILABLE = HttpResponse(503, [], b"")


class Gateway:
    """The HTTP-triggered functions of an app, under its route prefix."""

    def __init__(
        self,
        worker: Worker,
        index: FunctionIndex,
        client_of: Callable[[FunctionInfo], str | None],
        prefix: str,
        keys: Keys | None,
    ) -> None:
        """`client_of` makes a function's durable client; `keys` are asked for, with None nobody is."""
        self._worker = worker
        self._client_of = client_of
        self._keys = keys
        self._routes = RouteTable((route_of(function, prefix), function) for function in index.http)

    async def answer(self, request: Incoming) -> HttpResponse:
        """The response to a request: that of the function, or 404, 401, a bare 500 when it fails."""
        found = self._find(request)
        if found is None:
            return NOT_FOUND
        function, values = found
        if self._keys is not None and not self._keys.allow(request, level_of(function)):
            return UNAUTHORIZED
        client = self._client_of(function)
        try:
            return _for_wire(await self._worker.http(function.name, _as_http(request, values), client))
        except InvocationFailed:
            return FAILED
        except WorkerGone:
            return UNAVAILABLE

    def _find(self, request: Incoming) -> tuple[FunctionInfo, dict[str, str]] | None:
        for function, values in self._routes.find(request.path):
            methods = methods_of(function)
            if not methods or request.method.upper() in methods:
                return function, values
        return None


def trigger_of(function: FunctionInfo) -> dict[str, object]:
    """The trigger's binding."""
    return next(binding for binding in function.bindings if binding["type"] == function.trigger)


def route_of(function: FunctionInfo, prefix: str) -> str:
    """The function's route with the prefix; without a route of its own it is its name."""
    route = trigger_of(function).get("route")
    own = function.name if route is None else str(route).lstrip("/")
    return f"{prefix}/{own}".strip("/")


def methods_of(function: FunctionInfo) -> list[str]:
    """The function's methods, empty when it takes all."""
    methods = trigger_of(function).get("methods")
    return [str(method).upper() for method in methods] if isinstance(methods, list) else []


def level_of(function: FunctionInfo) -> str:
    """The function's authorization level; FUNCTION when it names none."""
    return str(trigger_of(function).get("authLevel") or "FUNCTION")


def _as_http(request: Incoming, values: dict[str, str]) -> HttpRequest:
    """The request as the host hands it to the worker: empty query values are left out."""
    query = {name: value for name, value in request.query.items() if value}
    return HttpRequest(request.method, request.url, request.headers, query, values, request.body)


def _for_wire(response: HttpResponse) -> HttpResponse:
    """The function's response without what only the server may say, or 500 when it cannot be sent."""
    headers = [(name, value) for name, value in response.headers if name.lower() not in SERVERS_OWN]
    if not 100 <= response.status <= 999 or any(not _is_header(name, value) for name, value in headers):
        return FAILED
    return HttpResponse(response.status, headers, response.body, response.outputs)


SERVERS_OWN = frozenset(["content-length", "transfer-encoding", "connection"])


def _is_header(name: str, value: str) -> bool:
    return bool(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)) and not re.search(r"[\r\n\0]", value)
