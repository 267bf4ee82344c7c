"""The Durable extension's HTTP API: start, status, events, management operations, lists, purge, entities.

Answers as extension 2.13.7 does (`HttpApiHandler.cs`), to clients at the webhook and to the SDK at the rpc address.
Where it was recorded, the recording counts; `tests/conformance` holds the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from lab import management_answers as answers
from lab import newtonsoft
from lab.client_binding import LinkMaker
from lab.errors import ArgumentInvalid, InstanceGone
from lab.function_index import FunctionIndex
from lab.incoming import Incoming
from lab.management_queries import Call, body_text, check_instance_id, shown_seconds
from lab.newtonsoft import NotJsonText
from lab.worker import HttpResponse
from taskhub.client import StatusQuery, TaskHubClient
from taskhub.clock import Clock, SystemClock
from taskhub.errors import InstanceExists, InstanceNotFound, InvalidOperation, TaskHubError
from taskhub.instances import InstanceStatus

Sleep = Callable[[float], Awaitable[None]]


class ManagementApi:
    """The API of one task hub."""

    def __init__(
        self,
        client: TaskHubClient,
        index: FunctionIndex,
        links: LinkMaker,
        known_connections: Callable[[str], bool],
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`known_connections` says whether an app setting names a storage connection; time can be injected."""
        self._client = client
        self._index = index
        self._links = links
        self._knows_connection = known_connections
        self._clock = clock or SystemClock()
        self._sleep = sleep

    async def answer(self, request: Incoming, prefix: str, links: LinkMaker) -> HttpResponse:
        """The response to a request below `prefix`; links in it are made by `links`."""
        path = request.path[len(prefix) :].strip("/")
        parts = tuple(path.split("/")) if path else ()
        if not parts or "" in parts:
            return answers.empty(404)
        name = ROUTES.get((request.method, shape_of(parts)))
        if name is None:
            return answers.empty(404)
        handler: Handler = getattr(self, name)
        try:
            return self._refuse_foreign(request, parts) or await handler(Call(request, parts[1:], links))
        except InstanceNotFound:
            return answers.empty(404)
        except InstanceGone:
            return answers.empty(410)
        except ArgumentInvalid as error:
            return answers.bad_argument(str(error), error.kind)
        except InvalidOperation as error:
            return answers.went_wrong(str(error), "System.InvalidOperationException")
        except TaskHubError as error:
            return answers.went_wrong(str(error), f"{type(error).__module__}.{type(error).__name__}")

    def _refuse_foreign(self, request: Incoming, parts: tuple[str, ...]) -> HttpResponse | None:
        """The answer about another task hub, or through a connection that is no app setting."""
        connection = request.parameter("connection")
        if connection and not self._knows_connection(connection):
            text = f"Unable to resolve the Azure Storage connection named '{connection}'."
            return answers.went_wrong(text, "System.InvalidOperationException")
        hub = request.parameter("taskHub")
        if not hub or hub.lower() == self._links.hub.lower():
            return None
        if len(parts) == 1 and request.method == "GET":
            return answers.page([], None)
        if parts[0].lower() == "orchestrators":
            text = f"This host runs the task hub {self._links.hub}; start the orchestration at the host of {hub}."
            return answers.bad_argument(text)
        return answers.empty(404)

    # -- start ----------------------------------------------------------------------------------------------------

    async def start(self, call: Call) -> HttpResponse:
        """POST orchestrators/{name}/{id?}"""
        name, *rest = call.parts
        try:
            given = newtonsoft.read_document(body_text(call.request))
        except NotJsonText as error:
            return answers.not_json(error)
        if self._index.orchestrator(name) is None:
            raise ArgumentInvalid(self._index.no_orchestrator(name))
        instance_id = rest[0] if rest else None
        if instance_id is not None:
            check_instance_id(instance_id)
        try:
            started = await self._client.start(
                name,
                instance_id,
                None if given is None else newtonsoft.dumps(given),
                version=call.request.parameter("version") or "",
            )
        except InstanceExists:
            return await self._exists(instance_id or "")
        return await self._started(call, started)

    async def restart(self, call: Call) -> HttpResponse:
        """POST instances/{id}/restart"""
        instance_id = call.parts[0]
        try:
            started = await self._client.restart(instance_id, call.flag("restartWithNewInstanceId", True))
        except InstanceNotFound:
            return answers.http_error(
                400,
                "InstanceId does not match a valid orchestration instance.",
                f"An orchestrastion with the instanceId {instance_id} was not found.",  # the extension's spelling
                "System.ArgumentException",
            )
        except InstanceExists:
            return await self._exists(instance_id)
        return await self._started(call, started)

    async def _exists(self, instance_id: str) -> HttpResponse:
        status = await self._client.status(instance_id, show_input=False)
        state = status.runtime_status if status else "Running"
        return answers.went_wrong(
            f"An Orchestration instance with the status {state} already exists.",
            "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException",
        )

    async def _started(self, call: Call, instance_id: str) -> HttpResponse:
        """The check-status document, after waiting for the instance's end when both time parameters ask for it."""
        timeout, interval = call.number("timeout"), call.number("pollingInterval")
        if timeout is not None and interval is not None:
            if interval > timeout:
                longer, shorter = shown_seconds(timeout), shown_seconds(interval)
                raise ArgumentInvalid(f"Total timeout {longer} should be bigger than retry timeout {shorter}")
            done = await self._wait(instance_id, timeout, interval)
            if done is not None:
                return answers.ended(done)
        document = call.links.of_instance(instance_id)
        return answers.accepted(document, document["statusQueryGetUri"], 10)

    async def _wait(self, instance_id: str, timeout: float, interval: float) -> InstanceStatus | None:
        begin = self._clock.now()
        while True:
            status = await self._client.status(instance_id)
            if status is not None and status.is_terminal:
                return status
            left = timeout - (self._clock.now() - begin).total_seconds()
            if left <= 0:
                return None
            await self._sleep(max(min(interval, left), 0.001))

    # -- one instance -----------------------------------------------------------------------------------------------

    async def status(self, call: Call) -> HttpResponse:
        """GET instances/{id}"""
        instance_id = call.parts[0]
        show_input = call.flag("showInput", True)
        status = await self._client.status(instance_id, show_input)
        if status is None:
            return answers.empty(404)
        document = answers.status_document(status if show_input else replace(status, input=None))
        if call.flag("showHistory", False):
            show_output = call.flag("showHistoryOutput", False)
            document["historyEvents"] = await self._client.history(instance_id, show_input, show_output)
        if not status.is_terminal:
            return answers.accepted(document, call.request.url, 5)
        has_failed = status.runtime_status == "Failed" and call.flag("returnInternalServerErrorOnFailure", False)
        return answers.json_response(500 if has_failed else 200, document)

    async def raise_event(self, call: Call) -> HttpResponse:
        """POST instances/{id}/raiseEvent/{name}"""
        instance_id, _, name = call.parts
        await self._must_run(instance_id)
        media_type = (call.request.header("content-type") or "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return answers.message("Only application/json request content is supported")
        try:
            data = newtonsoft.read_token(body_text(call.request), only=False)
        except NotJsonText as error:
            return answers.not_json(error)
        await self._client.raise_event(instance_id, name, newtonsoft.dumps(data))
        return answers.empty(202)

    async def terminate(self, call: Call) -> HttpResponse:
        """POST instances/{id}/terminate"""
        await self._must_run(call.parts[0])
        return await self._ask(self._client.terminate, call)

    async def suspend(self, call: Call) -> HttpResponse:
        """POST instances/{id}/suspend"""
        state = await self._must_run(call.parts[0])
        if state == "Suspended":
            return answers.wrong_state("suspend", call.parts[0], state)
        return await self._ask(self._client.suspend, call)

    async def resume(self, call: Call) -> HttpResponse:
        """POST instances/{id}/resume"""
        state = await self._must_run(call.parts[0])
        if state != "Suspended":
            return answers.wrong_state("resume", call.parts[0], state)
        return await self._ask(self._client.resume, call)

    async def rewind(self, call: Call) -> HttpResponse:
        """POST instances/{id}/rewind"""
        status = await self._client.status(call.parts[0], show_input=False)
        if status is None:
            return answers.empty(404)
        if status.runtime_status != "Failed":
            if status.is_terminal:
                return answers.empty(410)
            raise InvalidOperation("The rewind operation is only supported on failed orchestration instances.")
        return await self._ask(self._client.rewind, call)

    async def purge(self, call: Call) -> HttpResponse:
        """DELETE instances/{id}"""
        return answers.purged(await self._client.purge(call.parts[0]))

    async def _must_run(self, instance_id: str) -> str:
        """The state of an instance that has not ended. InstanceNotFound, InstanceGone."""
        status = await self._client.status(instance_id, show_input=False)
        if status is None:
            raise InstanceNotFound(instance_id)
        if status.is_terminal:
            raise InstanceGone(instance_id)
        return status.runtime_status

    async def _ask(self, ask: Callable[[str, str | None], Awaitable[None]], call: Call) -> HttpResponse:
        await ask(call.parts[0], call.request.parameter("reason"))
        return answers.empty(202)

    # -- many instances ---------------------------------------------------------------------------------------------

    async def list_instances(self, call: Call) -> HttpResponse:
        """GET instances/"""
        show_input = call.flag("showInput", True)
        query = StatusQuery(
            created_from=call.time("createdTimeFrom"),
            created_to=call.time("createdTimeTo"),
            statuses=call.statuses(),
            prefix=call.request.parameter("instanceIdPrefix") or "",
        )
        try:
            page, token = await self._client.list(query, call.top(), call.token(), show_input)
        except ValueError as error:
            return answers.bad_token(error)
        shown = [answers.status_document(status if show_input else replace(status, input=None)) for status in page]
        return answers.page(shown, token)

    async def purge_by_filter(self, call: Call) -> HttpResponse:
        """DELETE instances/"""
        created_from = call.time("createdTimeFrom")
        if created_from is None:
            return answers.json_response(400, "Please provide value for 'createdTimeFrom' parameter.")
        query = StatusQuery(
            created_from=created_from,
            created_to=call.time("createdTimeTo") or self._clock.now(),
            statuses=call.statuses(),
        )
        return answers.purged(await self._client.purge_by(query))

    # -- entities ---------------------------------------------------------------------------------------------------

    async def entity_state(self, call: Call) -> HttpResponse:
        """GET entities/{name}/{key}; the key `$` is the empty one."""
        name, key = call.parts
        state = await self._client.entity_state(_entity_id(name, "" if key == "$" else key))
        return answers.empty(404) if state is None else answers.json_response(200, newtonsoft.read_stored(state))

    async def signal_entity(self, call: Call) -> HttpResponse:
        """POST entities/{name}/{key?}?op="""
        refusal = self._refuse_entity(call.parts)
        if refusal is not None:
            return refusal
        try:
            given = call.entity_input()
        except NotJsonText as error:
            return answers.message(f"Could not parse JSON content: {error}")
        await self._client.signal_entity(_entity_id(*call.parts), call.request.parameter("op") or "", given)
        return answers.empty(202)

    async def delete_entity(self, call: Call) -> HttpResponse:
        """DELETE entities/{name}/{key?}: the operation `delete`."""
        refusal = self._refuse_entity(call.parts)
        if refusal is not None:
            return refusal
        await self._client.signal_entity(_entity_id(*call.parts), "delete", None)
        return answers.empty(202)

    async def list_entities(self, call: Call) -> HttpResponse:
        """GET entities/{name?}"""
        fetch_state = call.flag("fetchState", False)
        try:
            page, token = await self._client.list_entities(
                call.parts[0] if call.parts else None,
                call.time("lastOperationTimeFrom"),
                call.time("lastOperationTimeTo"),
                fetch_state,
                call.top(),
                call.token(),
            )
        except ValueError as error:
            return answers.bad_token(error)
        return answers.page([answers.entity_document(entity, fetch_state) for entity in page], token)

    def _refuse_entity(self, parts: tuple[str, ...]) -> HttpResponse | None:
        if not parts:
            text = "Invalid entity id: entity name must not be a null or empty string. (Parameter 'entityName')"
            return answers.message(text)
        if self._index.entity(parts[0]) is None:
            return answers.message(self._index.no_entity(parts[0]))
        return None


Handler = Callable[[Call], Awaitable[HttpResponse]]

# Verb and shape of the path -> the method that answers.
ROUTES: Mapping[tuple[str, str], str] = {
    ("POST", "orchestrators/{}"): "start",
    ("POST", "orchestrators/{}/{}"): "start",
    ("GET", "instances"): "list_instances",
    ("DELETE", "instances"): "purge_by_filter",
    ("GET", "instances/{}"): "status",
    ("DELETE", "instances/{}"): "purge",
    ("POST", "instances/{}/terminate"): "terminate",
    ("POST", "instances/{}/suspend"): "suspend",
    ("POST", "instances/{}/resume"): "resume",
    ("POST", "instances/{}/rewind"): "rewind",
    ("POST", "instances/{}/restart"): "restart",
    ("POST", "instances/{}/raiseevent/{}"): "raise_event",
    ("GET", "entities"): "list_entities",
    ("GET", "entities/{}"): "list_entities",
    ("GET", "entities/{}/{}"): "entity_state",
    ("POST", "entities"): "signal_entity",
    ("POST", "entities/{}"): "signal_entity",
    ("POST", "entities/{}/{}"): "signal_entity",
    ("DELETE", "entities"): "delete_entity",
    ("DELETE", "entities/{}"): "delete_entity",
    ("DELETE", "entities/{}/{}"): "delete_entity",
}


def shape_of(parts: tuple[str, ...]) -> str:
    """A path's shape: its first segment and the operation of an instance by name, the rest as `{}`."""
    shape = [parts[0].lower(), *("{}" for _ in parts[1:])]
    if shape[0] == "instances" and len(parts) > 2:
        shape[2] = parts[2].lower()
    return "/".join(shape)


def _entity_id(name: str, key: str = "") -> str:
    return f"@{name.lower()}@{key}"
