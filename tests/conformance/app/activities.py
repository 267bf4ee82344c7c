"""The activities: they answer, describe what they got, fail, take their time, or remember how often they ran."""

import asyncio
import time

import azure.durable_functions as df
from values import CALLS, SWITCHES, UNSERIALISABLE, VALUES, Point, raise_kind

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="city")
def say_hello(city: str):
    return f"Hello {city}!"


@blueprint.activity_trigger(input_name="number")
def square(number: int):
    return number * number


@blueprint.activity_trigger(input_name="value")
def echo(value):
    return value


@blueprint.activity_trigger(input_name="value")
async def echo_async(value):
    await asyncio.sleep(0.01)
    return value


@blueprint.activity_trigger(input_name="value")
def describe(value):
    return f"{type(value).__name__} {value!r}"


@blueprint.activity_trigger(input_name="kind")
def produce(kind: str):
    return VALUES[kind]


@blueprint.activity_trigger(input_name="kind")
def produce_bad(kind: str):
    return UNSERIALISABLE[kind]


@blueprint.activity_trigger(input_name="point")
def mirror(point):
    return Point(point.y, point.x)


@blueprint.activity_trigger(input_name="kind")
def fail(kind: str):
    raise_kind(kind)


@blueprint.activity_trigger(input_name="order")
def fail_on(order: dict):
    if order["n"] in order["bad"]:
        raise ValueError(f"item {order['n']}")
    return order["n"]


@blueprint.activity_trigger(input_name="order")
def flaky(order: dict):
    key = order["key"]
    CALLS[key] += 1
    if CALLS[key] < order["good"]:
        raise ValueError(f"attempt {CALLS[key]}")
    return f"attempt {CALLS[key]} succeeded"


@blueprint.activity_trigger(input_name="key")
def count_call(key: str):
    CALLS[key] += 1
    return CALLS[key]


@blueprint.activity_trigger(input_name="key")
def gated(key: str):
    CALLS[key] += 1
    if SWITCHES.get(key) != "open":
        raise ValueError("the gate is closed")
    return "through the gate"


@blueprint.activity_trigger(input_name="order")
def slow(order: dict):
    time.sleep(order["seconds"])
    return order.get("value", "slow")


@blueprint.activity_trigger(input_name="value", activity="RenamedActivity")
def renamed_activity(value):
    return f"renamed {value}"


@blueprint.function_name(name="NamedActivity")
@blueprint.activity_trigger(input_name="value")
def named_activity(value):
    return f"named {value}"
