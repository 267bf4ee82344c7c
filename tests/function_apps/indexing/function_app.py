"""The many ways in which public apps declare their functions. It never imports azure.durable_functions itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import azure.functions as func
from parts import durable_part, plain_part

app = func.FunctionApp(http_auth_level="ADMIN")
app.register_functions(plain_part)
app.register_blueprint(durable_part)


def shouting(function: Callable[..., Any]) -> Callable[..., Any]:
    """A third-party decorator that keeps the signature."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs).upper()

    return wrapper


@app.activity_trigger(input_name="name")
@shouting
def greet(name: str) -> str:
    return f"hello {name}"


@app.function_name("named")
@app.route(route="any-order", auth_level=func.AuthLevel.ANONYMOUS, methods=(func.HttpMethod.GET, "post"))
@app.durable_client_input(client_name="starter")
async def client_first(starter, req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"{type(starter).__name__} {req.method}")


@app.orchestration_trigger(context_name="context", orchestration="Main")
def main_orchestrator(context):
    result = yield context.call_activity(greet, "by object")
    return result


def make(number: int) -> None:
    """Functions made at run time."""

    @app.function_name(f"made_{number}")
    @app.activity_trigger(input_name="value")
    def made(value: int) -> int:
        return value * number


for number in (2, 3):
    make(number)
