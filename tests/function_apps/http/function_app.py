"""HTTP functions of every kind: what a request brings them, and what they may answer."""

import asyncio
import json
import logging
import threading
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
LOOP_LOCK = asyncio.Lock()


@app.route(route="echo/{name?}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "query": dict(req.params),
        "route": dict(req.route_params),
        "header": req.headers.get("X-Mixed-Case"),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json", headers={"X-Seen": "yes"})


@app.route(route="bytes", methods=["POST"])
def give_bytes(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(bytes(reversed(req.get_body())), mimetype="application/octet-stream")


@app.route(route="cookies")
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("baked", status_code=201)
    response.headers.add("Set-Cookie", "a=1; Path=/")
    response.headers.add("Set-Cookie", "b=2; HttpOnly")
    return response


@app.route(route="files", methods=["POST"])
def files(req: func.HttpRequest) -> func.HttpResponse:
    found = {}
    for name, part in req.files.items():
        found[name] = part.read().decode()
        part.close()
    return func.HttpResponse(json.dumps({"files": found, "form": dict(req.form)}))


@app.route(route="text", auth_level=func.AuthLevel.ANONYMOUS)
def text(req: func.HttpRequest) -> str:
    return "plain text, Zürich"


@app.route(route="none")
def none(req: func.HttpRequest):
    return None


@app.route(route="dict")
def gives_dict(req: func.HttpRequest):
    return {"a": 1}


@app.route(route="raises")
def raises(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("boom")


@app.route(route="exits")
def exits(req: func.HttpRequest) -> func.HttpResponse:
    raise SystemExit(3)


@app.route(route="slow/{seconds:int}")
def slow(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(int(req.route_params["seconds"]) / 1000)
    return func.HttpResponse(threading.current_thread().name)


@app.route(route="items/{id:int}", methods=["GET"])
def item(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"item {req.route_params['id']}")


@app.route(route="items/new", methods=["GET"])
def new_item(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("new item")


@app.route(route="items/{id}", methods=["DELETE"], auth_level=func.AuthLevel.ADMIN)
async def delete_item(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    async with LOOP_LOCK:
        return func.HttpResponse(f"{context.function_name} {len(context.invocation_id)}")


@app.route(route="talks")
def talks(req: func.HttpRequest) -> func.HttpResponse:
    print("printed by the app")
    logging.warning("logged by the app")
    return func.HttpResponse(status_code=204)


@app.function_name("left_by_name")
@app.route(methods=[func.HttpMethod.OPTIONS])
def without_route(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("optional")


@app.route(route="queued", methods=["POST"])
@app.queue_output(arg_name="message", queue_name="q", connection="AzureWebJobsStorage")
def queued(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
    message.set("sent along")
    return func.HttpResponse("queued")


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
def every_five_minutes(timer: func.TimerRequest) -> None:
    logging.info("past due: %s", timer.past_due)
