"""The app is loaded by the worker's rules, and its functions get and give what they do on Azure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.client_binding import LinkMaker
from lab.errors import AppError
from lab.worker import HttpRequest, HttpResponse, InvocationFailed, WorkerGone
from lab.worker.local import LocalWorker
from tests.lab.worker.apps import FIXTURES, write_app
from tests.lab.worker.driver import Play

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions")
APP = "app = df.DFApp()\n"


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(AppError) as caught:
        LocalWorker(write_app(folder, text))
    return str(caught.value)


def test_a_folder_without_a_script_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(AppError, match=r"There is no function_app.py in .* --app; .* PYTHON_SCRIPT_FILE_NAME"):
        LocalWorker(tmp_path)


def test_an_app_of_the_v1_model_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "starter").mkdir()
    (tmp_path / "starter" / "function.json").write_text("{}")
    with pytest.raises(AppError, match="only function.json: the v1 model does not run here"):
        LocalWorker(tmp_path)


def test_an_app_without_an_app_object_is_refused(tmp_path: Path) -> None:
    assert "Could not find top level function app instances in function_app.py" in refusal(tmp_path, "x = 1\n")


def test_two_app_objects_are_refused(tmp_path: Path) -> None:
    assert "More than one FunctionApp" in refusal(tmp_path, "a = func.FunctionApp()\nb = func.FunctionApp()\n")


def test_one_app_object_under_two_names_is_refused(tmp_path: Path) -> None:
    assert "a, b. Keep one, under one name." in refusal(tmp_path, "a = func.FunctionApp()\nb = a\n")


def test_a_blueprint_is_no_app_object(tmp_path: Path) -> None:
    assert "Could not find" in refusal(tmp_path, "a = df.Blueprint()\n")


def test_an_import_that_fails_shows_the_apps_own_traceback(tmp_path: Path) -> None:
    with pytest.raises(AppError) as caught:
        LocalWorker(write_app(tmp_path, "def f():\n    raise ValueError('at import')\nf()\n"))
    assert "ValueError: at import" in str(caught.value)
    assert caught.value.details.count("function_app.py") == 2
    assert "importlib" not in caught.value.details


def test_a_syntax_error_shows_its_line(tmp_path: Path) -> None:
    with pytest.raises(AppError) as caught:
        LocalWorker(write_app(tmp_path, "def f(:\n"))
    assert "line 3" in caught.value.details and "def f(:" in caught.value.details


def test_a_script_name_that_is_no_file_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_SCRIPT_FILE_NAME", "../x.py")
    with pytest.raises(AppError, match="PYTHON_SCRIPT_FILE_NAME"):
        LocalWorker(tmp_path)


def test_a_parameter_without_binding_is_named(tmp_path: Path) -> None:
    text = refusal(tmp_path, APP + "@app.route(route='a')\ndef f(req, other): ...\n")
    assert text == (
        "cannot load the f function: the following parameters are declared in Python but not in function.json: "
        "{'other'}"
    )


def test_a_binding_without_parameter_is_named(tmp_path: Path) -> None:
    text = refusal(tmp_path, APP + "@app.activity_trigger(input_name='city')\ndef f(town): ...\n")
    assert "cannot load the f function: the following parameters are declared in Python but not" in text


def test_a_context_name_other_than_context_is_refused_as_on_azure(tmp_path: Path) -> None:
    text = refusal(tmp_path, APP + "@app.orchestration_trigger(context_name='ctx')\ndef f(ctx):\n    yield 1\n")
    assert "cannot load the f function" in text


@pytest.mark.parametrize("annotation", ["str | None", "Tuple[int]", "Callable[[], int]", "7"])
def test_an_annotation_that_is_no_type_is_refused_as_on_azure(tmp_path: Path, annotation: str) -> None:
    app = f"from typing import *\n{APP}@app.activity_trigger(input_name='x')\ndef f(x: {annotation}): ...\n"
    assert "cannot load the f function: binding x has invalid non-type annotation" in refusal(tmp_path, app)


@pytest.mark.parametrize("annotation", ["dict", "Dict[str, int]", "List[int]", "'Later'"])
def test_an_annotation_that_is_a_type_loads(tmp_path: Path, annotation: str) -> None:
    text = f"from typing import *\nclass Later: ...\n{APP}@app.activity_trigger(input_name='x')\n"
    app = write_app(tmp_path, f"{text}def f(x: {annotation}): ...\n")
    assert [one.name for one in LocalWorker(app).functions] == ["f"]


async def test_a_queue_message_may_be_taken_as_its_text(tmp_path: Path) -> None:
    text = "app = func.FunctionApp()\n@app.queue_trigger('m', 'q', 'C')\n@app.queue_output('o', 'p', 'C')\n"
    worker = LocalWorker(write_app(tmp_path, f"{text}def f(m: str, o: func.Out[str]): o.set(m + '!')\n"))
    outputs = await worker.trigger("f", {"type": "json", "value": '{"a": 1}', "metadata": {}}, None)
    assert outputs == {"o": {"type": "string", "value": '{"a": 1}!'}}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int", 'Python return annotation "int" does not match binding type "http"'),
        ("str | None", "has invalid non-type return annotation"),
        ("func.Out[str]", "return annotation should not be azure.functions.Out"),
    ],
)
def test_a_result_that_does_not_fit_its_binding_is_named(tmp_path: Path, annotation: str, words: str) -> None:
    text = refusal(tmp_path, APP + f"@app.route(route='a')\ndef f(req: func.HttpRequest) -> {annotation}: ...\n")
    assert text.startswith(f"cannot load the f function: {words}")


@pytest.mark.parametrize("annotation", ["str", "func.HttpResponse", "'func.HttpResponse'"])
def test_a_result_that_fits_its_binding_loads(tmp_path: Path, annotation: str) -> None:
    app = APP + f"@app.route(route='a')\ndef f(req: func.HttpRequest) -> {annotation}: ...\n"
    assert [one.name for one in LocalWorker(write_app(tmp_path, app)).functions] == ["f"]


def test_an_annotation_that_does_not_fit_its_binding_is_named(tmp_path: Path) -> None:
    text = refusal(tmp_path, APP + "@app.route(route='a')\ndef f(req: int): ...\n")
    assert text == (
        'cannot load the f function: type of req binding in function.json "httpTrigger" does not match its Python '
        'annotation "int"'
    )


def test_an_output_binding_needs_an_out_parameter(tmp_path: Path) -> None:
    queue = "@app.queue_output(arg_name='m', queue_name='q', connection='C')\n"
    text = refusal(tmp_path, APP + "@app.route(route='a')\n" + queue + "def f(req, m: str): ...\n")
    assert "binding m" in text and "azure.functions.Out" in text


def test_a_context_parameter_is_the_invocations(tmp_path: Path) -> None:
    text = refusal(tmp_path, APP + "@app.route(route='a')\ndef f(req, context: str): ...\n")
    assert 'the "context" parameter is expected to be of type azure.functions.Context' in text


def test_duplicate_names_are_refused(tmp_path: Path) -> None:
    one = "@app.activity_trigger(input_name='x')\ndef f(x): ...\n"
    assert "f" in refusal(tmp_path, APP + one + one)


def test_settings_are_in_the_environment_before_import_and_out_of_it_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "environment")
    text = "import os\nSEEN = (os.environ['LOCAL_ONLY'], os.environ['FROM_OUTSIDE'], os.getcwd())\n"
    app = write_app(tmp_path, text + APP + "@app.activity_trigger(input_name='x')\ndef f(x):\n    return SEEN\n")
    worker = LocalWorker(app, {"LOCAL_ONLY": "settings", "FROM_OUTSIDE": "settings"})
    call = worker._app.functions[0].call
    assert call(0) == ("settings", "environment", str(tmp_path))
    worker._restored()
    import os

    assert "LOCAL_ONLY" not in os.environ and os.getcwd() != str(tmp_path)


def test_app_settings_named_in_bindings_are_put_in(tmp_path: Path) -> None:
    text = "@app.route(route='%SECTION%/items-%UNSET%')\ndef f(req): ...\n"
    text += "@app.activity_trigger(input_name='x', activity='do_%SECTION%')\ndef g(x): ...\n"
    found = LocalWorker(write_app(tmp_path, APP + text), {"SECTION": "shop"}).functions
    assert found[0].bindings[0]["route"] == "shop/items-%UNSET%"
    assert found[1].registered_name == "do_shop"


def test_apps_that_call_their_modules_alike_do_not_see_each_others(tmp_path: Path) -> None:
    answers = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "shared_name.py").write_text(f"NUMBER = {number}\n")
        text = "import shared_name\n" + APP + "@app.activity_trigger(input_name='x')\ndef f(x):\n"
        worker = LocalWorker(write_app(folder, text + "    return shared_name.NUMBER\n"))
        answers.append(worker._app.functions[0].call(0))
    assert answers == [1, 2]


def test_registered_names_are_those_of_the_bindings() -> None:
    functions = {info.name: info.registered_name for info in LocalWorker(FIXTURES / "corpus").functions}
    assert functions["renamed_orchestrator"] == "Renamed"
    assert (functions["weigh_parcel"], functions["counter_entity"], functions["chain"]) == ("weigh", "Counter", "chain")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{"a": 1}', '{"a": 1}'), ('"s"', '"s"'), ("null", "null"), (None, "null"), ("plain text", '"plain text"'),
        ("", '""'), ("[1, null]", "[1, null]"), ("0", "0"), ('"\\ud800"', '"\\ud800"'),
    ],
)  # fmt: skip
async def test_activity_inputs_and_results_are_decoded_and_encoded_once(text: str | None, result: str) -> None:
    worker = LocalWorker(FIXTURES / "corpus")
    assert await worker.activity("echo", text, "i", None) == result


async def test_a_class_of_the_apps_travels_to_an_activity() -> None:
    worker = LocalWorker(FIXTURES / "corpus")
    parcel = json.dumps({"__class__": "Parcel", "__module__": "function_app", "__data__": '{"weight": 3}'})
    assert await worker.activity("weigh_parcel", parcel, "i", None) == '["Parcel", 3]'


async def test_an_activity_that_raises_gives_type_message_and_stack() -> None:
    worker = LocalWorker(FIXTURES / "corpus")
    with pytest.raises(InvocationFailed) as caught:
        await worker.activity("flaky", '"luck"', "i", None)
    assert caught.value.text == "ValueError: no luck"
    assert 'raise ValueError(f"no {what}")' in caught.value.stack


async def test_a_result_that_is_no_json_is_the_workers_error() -> None:
    worker = LocalWorker(FIXTURES / "corpus")
    with pytest.raises(InvocationFailed) as caught:
        await worker.activity("returns_a_set", '""', "i", None)
    assert caught.value.text == "ValueError: activity trigger output must be json serializable ({1, 2})"


async def test_async_activities_run_on_the_loop() -> None:
    assert await LocalWorker(FIXTURES / "corpus").activity("hello_async", '"x"', "i", None) == '"Hello x, later!"'


async def test_an_entity_answers_the_sdks_json() -> None:
    worker = LocalWorker(FIXTURES / "corpus")
    batch = {"self": {"name": "counter", "key": "k"}, "exists": True, "state": "5"}
    operation = {"name": "add", "input": '"2"', "isSignal": True}
    answer = json.loads(await worker.entity("counter_entity", json.dumps({**batch, "batch": [operation]})))
    assert (answer["entityState"], answer["results"][0]["isError"]) == ("7", False)


def request(method: str = "GET", body: bytes = b"", **headers: str) -> HttpRequest:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return HttpRequest(method, "http://h/api/x?a=1", sent, {"a": "1"}, {"name": "n"}, body)


async def http(function: str, sent: HttpRequest) -> HttpResponse:
    return await LocalWorker(FIXTURES / "http").http(function, sent, None)


async def test_a_request_reaches_the_function_whole() -> None:
    answer = await http("echo", request("POST", b"\x00\xff", X_Mixed_Case="v"))
    assert json.loads(answer.body) == {
        "method": "POST", "url": "http://h/api/x?a=1", "query": {"a": "1"}, "route": {"name": "n"}, "header": "v",
        "body": "\x00\xff",
    }  # fmt: skip
    assert dict(answer.headers) == {"X-Seen": "yes", "content-type": "application/json"}


async def test_bodies_are_bytes() -> None:
    assert (await http("give_bytes", request("POST", b"\x01\x02\xff"))).body == b"\xff\x02\x01"


async def test_each_cookie_is_a_header_of_its_own() -> None:
    answer = await http("cookies", request())
    assert [value for name, value in answer.headers if name == "Set-Cookie"] == ["a=1; Path=/", "b=2; HttpOnly"]
    assert answer.status == 201


async def test_a_text_is_a_response() -> None:
    answer = await http("text", request())
    assert (answer.status, answer.body.decode()) == (200, "plain text, Zürich")
    assert answer.headers == [("Content-Type", "text/plain; charset=utf-8")]


@pytest.mark.parametrize("function", ["none", "gives_dict", "raises", "exits"])
async def test_what_is_no_response_fails(function: str) -> None:
    with pytest.raises(InvocationFailed):
        await http(function, request())


async def test_files_and_form_fields_are_read() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\ncontent\r\n'
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n--b--\r\n'
    )
    answer = await http("files", request("POST", body, Content_Type="multipart/form-data; boundary=b"))
    assert json.loads(answer.body) == {"files": {"f": "content"}, "form": {"x": "y"}}


async def test_output_bindings_come_with_the_response() -> None:
    answer = await http("queued", request("POST"))
    assert answer.outputs == {"message": {"type": "string", "value": "sent along"}}


async def test_a_timer_trigger_gets_its_object(caplog: pytest.LogCaptureFixture) -> None:
    data = {"type": "json", "value": '{"IsPastDue": true, "Schedule": {}}'}
    with caplog.at_level("INFO"):
        await LocalWorker(FIXTURES / "http").trigger("every_five_minutes", data, None)
    assert "past due: True" in caplog.text


async def test_a_closed_worker_runs_nothing() -> None:
    worker = LocalWorker(FIXTURES / "http")
    await worker.close()
    with pytest.raises(WorkerGone):
        await worker.http("text", request(), None)


async def test_functions_are_found_however_they_are_declared() -> None:
    worker = LocalWorker(FIXTURES / "indexing")
    found = {info.name: info for info in worker.functions}
    assert {name: info.registered_name for name, info in found.items()} == {
        "without_anything": "", "Meter": "Meter", "greet": "greet", "named": "", "activity_with_client": "with_client",
        "main_orchestrator": "Main", "made_2": "made_2", "made_3": "made_3",
    }  # fmt: skip
    named = next(binding for binding in found["named"].bindings if binding["type"] == "httpTrigger")
    plain = next(binding for binding in found["without_anything"].bindings if binding["type"] == "httpTrigger")
    assert (named["authLevel"], named["methods"]) == ("ANONYMOUS", ["GET", "POST"])
    assert (plain["authLevel"], plain.get("methods")) == ("ADMIN", None)


async def test_decorated_and_made_functions_run() -> None:
    worker = LocalWorker(FIXTURES / "indexing")
    assert await worker.activity("greet", '"Ada"', "i", None) == '"HELLO ADA"'
    assert [await worker.activity(f"made_{number}", "5", "i", None) for number in (2, 3)] == ["10", "15"]


async def test_a_durable_client_is_bound_by_name_in_any_order() -> None:
    worker = LocalWorker(FIXTURES / "indexing")
    client = LinkMaker("http://localhost:1", "Hub").binding("http://127.0.0.1:1/durabletask/")
    answer = await worker.http("named", request(), client)
    assert answer.body == b"DurableOrchestrationClient GET"
    assert await worker.activity("activity_with_client", '"x"', "i", client) == '"DurableOrchestrationClient x"'


async def test_an_orchestrator_may_call_an_activity_by_its_object() -> None:
    worker = LocalWorker(FIXTURES / "indexing")
    result = await worker.episode(Play("main_orchestrator", 1).call())
    assert result.actions == [{"actionType": 0, "functionName": "greet", "input": '"by object"'}]


async def test_a_wsgi_application_answers_as_a_function() -> None:
    worker = LocalWorker(FIXTURES / "wsgi")
    (info,) = worker.functions
    answer = await worker.http(info.name, request("POST", b"body"), None)
    assert (answer.status, answer.body, dict(answer.headers)["X-Path"]) == (201, b"from wsgi: body", "/api/x")
