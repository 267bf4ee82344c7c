"""Compares the lab's worker with the official one, published as `azure-functions-runtime` for Python 3.13 and newer.

    python -m tests.lab.worker.official         the differences, and exit code 1 when there are some

Both load the same apps in the same interpreter, in a process each, with the same azure-functions, and are asked the
same questions: what functions there are, and what these answer. The official worker speaks protobuf messages; those
here have its names and fields and nothing else of it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
APPS = ROOT / "tests" / "function_apps"
Question = tuple[str, str, Any]  # kind, function, what goes in

GET = {"method": "GET", "url": "http://h/api/echo/Ada?a=1&b=2", "headers": {"x-mixed-case": "Yes"}, "body": "",
       "query": {"a": "1", "b": "2"}, "params": {"name": "Ada", "id": "7"}}  # fmt: skip
POST = {**GET, "method": "POST", "body": "bödy", "query": {}}
HISTORY: list[dict[str, Any]] = [
    {"EventType": 12, "EventId": -1, "IsPlayed": False, "Timestamp": "2026-01-02T03:04:05.0000000Z"},
    {"EventType": 0, "EventId": -1, "IsPlayed": False, "Timestamp": "2026-01-02T03:04:05.0000000Z", "Name": "x",
     "Version": "", "Input": None},
]  # fmt: skip

QUESTIONS: dict[str, list[Question]] = {
    "http": [
        *(("http", name, GET) for name in ("echo", "cookies", "text", "none", "gives_dict", "raises", "item")),
        *(("http", name, POST) for name in ("echo", "give_bytes", "queued")),
    ],
    "corpus": [
        *(("activity", "hello", text) for text in ('"Ada"', "7", "null", '{"a": [1, 2.5]}', '"z\\u00fc"')),
        ("activity", "hello_async", '"Ada"'), ("activity", "flaky", '"luck"'),
        *(("orchestrator", name, None) for name in ("chain", "fan_out", "event_or_timer", "with_retries", "eternal")),
    ],
    "indexing": [("http", "named", GET), ("activity", "greet", '"ada"'), ("activity", "made_2", "4")],
    "collisions": [], "triggers": [], "wsgi": [], "test_kit": [], "golden": [],
}  # fmt: skip

HEAD = "import azure.durable_functions as df\nimport azure.functions as func\n"
EDGES: dict[str, str] = {  # most of them are refused
    "no app": "x = 1\n",
    "two apps": "a = func.FunctionApp()\nb = func.FunctionApp()\n",
    "one app under two names": "a = func.FunctionApp()\nb = a\n",
    "a missing module": "import nowhere_at_all\n",
    "a parameter without binding": "app = func.FunctionApp()\n@app.route('x')\ndef f(req: func.HttpRequest, y): ...\n",
    "a binding without parameter": "app = func.FunctionApp()\n@app.route('x', trigger_arg_name='r')\ndef f(q): ...\n",
    "another name for the context": (
        "app = df.DFApp()\n@app.orchestration_trigger(context_name='c')\ndef f(context):\n    yield 1\n"
    ),
    "an output that is no Out": (
        "app = func.FunctionApp()\n@app.route('x')\n@app.queue_output('m', 'q', 'C')\n"
        "def f(req: func.HttpRequest, m: str): ...\n"
    ),
    "a request of another type": "app = func.FunctionApp()\n@app.route('x')\ndef f(req: int) -> str: ...\n",
    **{
        f"a result annotated {result}": (
            "from typing import *\napp = func.FunctionApp()\n@app.route('x')\n"
            f"def f(req: func.HttpRequest) -> {result}: ...\n"
        )
        for result in ("int", "str", "bytes", "None", "dict", "list[str]", "Optional[str]", "Any", "func.Out[str]",
                       "func.HttpResponse", "'func.HttpResponse'")
    },
    **{
        f"an activity's parameter annotated {kind}": (
            "from typing import *\napp = df.DFApp()\n@app.activity_trigger('x')\n" f"def f(x: {kind}): ...\n"
        )
        for kind in ("str", "int", "dict", "dict[str, str]", "Dict[str, str]", "list[int]", "List[int]", "Any",
                     "Optional[str]", "str | None", "Tuple[int, int]", "tuple", "'Undefined'", "None", "7",
                     "Callable[[], int]", "Sequence[int]", "TypedDict", "NamedTuple", "Literal['a']")
    },
    **{
        f"{trigger} with {kind}": (
            f"from typing import *\napp = func.FunctionApp()\n@app.{trigger}\ndef f(x: {kind}): ...\n"
        )
        for trigger in ("queue_trigger('x', 'q', 'C')", "blob_trigger('x', 'p', 'C')",
                        "route('r', trigger_arg_name='x')", "timer_trigger('x', '0 * * * * *')")
        for kind in ("str", "bytes", "int", "List[str]", "list[str]", "dict")
    },
    **{
        f"an output of {kind}": (
            "from typing import *\napp = func.FunctionApp()\n@app.route('x')\n@app.queue_output('m', 'q', 'C')\n"
            f"def f(req: func.HttpRequest, m: {kind}) -> str: ...\n"
        )
        for kind in ("func.Out[str]", "func.Out[bytes]", "func.Out[int]", "func.Out[List[str]]", "func.Out[list[str]]",
                     "func.Out", "func.Out[func.QueueMessage]")
    },
    "an activity with a result of several types": (
        "app = df.DFApp()\n@app.activity_trigger('x')\ndef f(x: str) -> str | None: ...\n"
    ),
    "an output as result": (
        "app = func.FunctionApp()\n@app.timer_trigger('t', '0 * * * * *')\n@app.queue_output('$return', 'q', 'C')\n"
        "def f(t: func.TimerRequest) -> list[str]: ...\n"
    ),
}  # fmt: skip


class Message:
    """A protobuf message: the fields it was made with; others are empty."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "TypedData":  # by which the official worker tells messages from modules
            raise AttributeError(name)
        return Message()

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 (protobuf's name)
        return next(iter(self.__dict__), None)


class Argument(Message):
    """A parameter's name and value."""

    def WhichOneof(self, group: str) -> str:  # noqa: N802
        return "data"


class _Kinds(type):
    def __getattr__(cls, name: str) -> Any:
        """A constant of a message's enumeration: its number where that counts, or else its own name."""
        if name.startswith("__"):
            raise AttributeError(name)
        return {"out": 1, "inout": 2, "SameSite": cls}.get(name, name)


class Kind(Message, metaclass=_Kinds):
    """A message type whose constants are asked for too."""


class Protos:
    """The protobuf module that the official worker is handed."""

    def __getattr__(self, name: str) -> Any:
        return Kind


def official(app: str, questions: list[Question]) -> dict[str, Any]:
    """What the official worker says of an app, run in a process of its own."""
    import azure_functions_runtime.handle_event as worker

    return asyncio.run(_official(worker, app, questions))


async def _official(worker: Any, app: str, questions: list[Question]) -> dict[str, Any]:
    init = Message(capabilities={}, function_app_directory=app)
    request = Message(request=Message(worker_init_request=init), properties={"protos": Protos(), "host": "127.0.0.1"})
    answer = await worker.worker_init_request(request)
    if answer.result.status != "Success":
        return {"refused": answer.result.exception.message}
    found = (await worker.functions_metadata_request(request)).function_metadata_results
    ids = {one.name: one.function_id for one in found}
    bindings = {one.name: [json.loads(text) for text in one.raw_bindings] for one in found}
    return {
        "functions": bindings,
        "answers": [await _invoke(worker, ids[name], bindings[name], kind, value) for kind, name, value in questions],
    }


async def _invoke(worker: Any, function: str, bindings: list[dict[str, Any]], kind: str, value: Any) -> Any:
    [trigger] = [one["name"] for one in bindings if one["type"].endswith("Trigger")]
    clients = [one["name"] for one in bindings if one["type"] == "durableClient"]
    sent = [Argument(name=trigger, data=_typed(kind, value))]
    sent += [Argument(name=name, data=Message(string=_client())) for name in clients]
    invocation = Message(invocation_id="i", function_id=function, input_data=sent, trigger_metadata={})
    answer = await worker.invocation_request(Message(request=Message(invocation_request=invocation)))
    if answer.result.status != "Success":
        return {"failed": answer.result.exception.message}
    outputs = {one.name: _plain(one.data) for one in answer.output_data}
    return {"result": _plain(answer.return_value), "outputs": outputs}


def _typed(kind: str, value: Any) -> Message:
    if kind == "http":
        body = Message(bytes=value["body"].encode())
        return Message(http=Message(**{**value, "body": body}))
    return Message(json=value) if kind == "activity" else Message(string=json.dumps(_trigger(value)))


def _trigger(value: Any) -> dict[str, Any]:
    return {"history": HISTORY, "input": value, "instanceId": "i", "isReplaying": False, "parentInstanceId": None,
            "upperSchemaVersion": 1, "upperSchemaVersionNew": 2, "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000}  # fmt: skip


def _client() -> str:
    urls = {"id": "INSTANCEID"}
    return json.dumps({"taskHubName": "H", "creationUrls": {}, "managementUrls": urls, "rpcBaseUrl": "http://h/",
                       "requiredQueryStringParameters": "", "baseUrl": "http://h/"})  # fmt: skip


def _plain(data: Any) -> Any:
    if data is None:
        return None
    kind = data.WhichOneof("data")
    if kind is None:
        return None
    value = getattr(data, kind)
    if kind == "http":
        return {
            "status": int(value.status_code),
            "headers": _headers(value.headers.items()),
            "body": _plain(value.body),
        }
    return base64.b64encode(value).decode() if kind == "bytes" else value


def _headers(pairs: Any) -> list[list[str]]:
    """Without cookies, which the official worker hands over apart from the headers."""
    return sorted([name.lower(), value] for name, value in pairs if name.lower() != "set-cookie")


def ours(app: str, questions: list[Question]) -> dict[str, Any]:
    """What the lab's worker says of an app."""
    from lab.errors import AppError
    from lab.worker.local import LocalWorker

    try:
        worker = LocalWorker(Path(app), inline=False)
    except AppError as error:
        return {"refused": str(error)}
    return asyncio.run(_ours(worker, questions))


async def _ours(worker: Any, questions: list[Question]) -> dict[str, Any]:
    answers = [await _ask_ours(worker, *question) for question in questions]
    functions = {one.name: one.bindings for one in worker.functions}
    await worker.close()
    return {"functions": functions, "answers": answers}


async def _ask_ours(worker: Any, kind: str, function: str, value: Any) -> Any:
    from lab.worker import EpisodeCall, HttpRequest, InvocationFailed

    try:
        if kind == "activity":
            return {"result": await worker.activity(function, value, "i", None), "outputs": {}}
        if kind == "orchestrator":
            answer = await worker.episode(EpisodeCall(function, "i", "e", None, value, HISTORY))
            return {"result": {"is_done": answer.is_done, "actions": answer.actions}, "outputs": {}}
        request = HttpRequest(value["method"], value["url"], list(value["headers"].items()), value["query"],
                              value["params"], value["body"].encode())  # fmt: skip
        response = await worker.http(function, request, _client())
    except InvocationFailed as error:
        return {"failed": error.text}
    body = base64.b64encode(response.body).decode()
    result = {"status": response.status, "headers": _headers(response.headers), "body": body}
    return {"result": result, "outputs": {name: one["value"] for name, one in response.outputs.items()}}


def comparable(kind: str, answer: Any) -> Any:
    """An answer in a form that does not depend on how a worker hands it over."""
    result = answer.get("result")
    if kind == "orchestrator" and isinstance(result, str):
        state = json.loads(result)
        actions = [action for group in state.get("actions") or [[]] for action in group]
        answer = {**answer, "result": {"is_done": bool(state.get("isDone")), "actions": actions}}
    elif kind == "http" and isinstance(result, str):  # a text is the body of a plain 200
        body = base64.b64encode(result.encode()).decode()
        answer = {**answer, "result": {"status": 200, "headers": [], "body": body}}
    elif kind == "http" and isinstance(result, dict):
        if result["headers"] == [["content-type", "text/plain; charset=utf-8"]]:  # said by the host, not the worker
            result = {**result, "headers": []}
        body = result["body"] or ""
        is_text = not _is_base64(body)
        result = {**result, "body": base64.b64encode(body.encode()).decode() if is_text else body}
        answer = {**answer, "result": result}
    elif kind == "activity" and isinstance(result, str):
        answer = {**answer, "result": json.loads(result)}
    return json.loads(json.dumps(answer))


def _is_base64(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except ValueError:
        return False


def differences(app: str, questions: list[Question], theirs: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """Where the two do not say the same; a refusal is compared by its first sentence."""
    if "refused" in theirs or "refused" in own:
        same = ("refused" in theirs) == ("refused" in own)
        return [] if same else [f"{app}: official {theirs!r:.300}, ours {own!r:.300}"]
    found = []
    for name in sorted({*theirs["functions"], *own["functions"]}):
        first, second = theirs["functions"].get(name), own["functions"].get(name)
        if _sorted(first) != _sorted(second):
            found.append(f"{app}: bindings of {name}: official {first}, ours {second}")
    for (kind, name, value), first, second in zip(questions, theirs["answers"], own["answers"], strict=True):
        if comparable(kind, first) != comparable(kind, second):
            found.append(f"{app}: {kind} {name} of {value!r:.60}: official {first}, ours {second}")
    return found


def _sorted(bindings: list[dict[str, Any]] | None) -> list[str] | None:
    return None if bindings is None else sorted(json.dumps(binding, sort_keys=True) for binding in bindings)


def ask(which: str, app: Path, questions: list[Question]) -> dict[str, Any]:
    """Runs one worker on one app in a process of its own."""
    local = app / "local.settings.json"
    sets = json.loads(local.read_text())["Values"] if local.exists() else {}
    environment = {**os.environ, **sets, "PYTHONPATH": os.pathsep.join([str(app), str(app / "src"), str(ROOT)])}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, which, str(app)], input=json.dumps(questions), cwd=app,
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if process.returncode:
        raise SystemExit(f"{which} on {app.name}: {process.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(process.stdout.rpartition("\n@@")[2])
    return answer


def main() -> int:
    """Compares all apps, those that both must refuse too."""
    import tempfile

    found: list[str] = []
    count = 0
    for name, questions in QUESTIONS.items():
        found += differences(name, questions, *(ask(which, APPS / name, questions) for which in WORKERS))
        count += len(questions)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in EDGES.items():
            app = Path(folder) / re.sub("[^a-z]+", "-", name)
            app.mkdir(exist_ok=True)
            (app / "function_app.py").write_text(HEAD + text)
            answers = [ask(which, app, []) for which in WORKERS]
            found += differences(name, [], *answers)
    print(*found, sep="\n")
    print(f"{len(QUESTIONS)} apps, {count} invocations, {len(EDGES)} apps on the edge: {len(found)} differences")
    return 1 if found else 0


WORKERS: dict[str, Callable[[str, list[Question]], dict[str, Any]]] = {"official": official, "ours": ours}

if __name__ == "__main__":
    if len(sys.argv) == 3:
        told = WORKERS[sys.argv[1]](sys.argv[2], json.load(sys.stdin))
        print("\n@@" + json.dumps(told, default=str))
    else:
        sys.exit(main())
