"""Greet cities one after the other, and the same cities all at once.

POST /api/orchestrators/hello_cities            ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]
POST /api/orchestrators/hello_cities_parallel   the same, greeted side by side, answered in the order given

The input is a list of cities, or nothing for the three above.
"""

from typing import Any

import azure.durable_functions as df

from workflows import region
from workflows.inputs import Checks
from workflows.orchestration import Steps

blueprint = region.Blueprint()

CITIES = ["Tokyo", "Seattle", "London"]
MOST_CITIES = 1000


def check(data: Any) -> list[str]:
    """A list of 1 to 1000 cities, or nothing."""
    if data is None:
        return CITIES
    checks = Checks()
    cities = checks.items(data, "body", MOST_CITIES)
    return checks.finish([checks.text(city, f"body[{number}]") for number, city in enumerate(cities)])


@blueprint.orchestration_trigger(context_name="context")
def hello_cities(context: df.DurableOrchestrationContext) -> Steps:
    """Chaining: each city after the one before it."""
    greetings = []
    for city in context.get_input() or CITIES:
        greetings.append((yield context.call_activity("say_hello", city)))
    return greetings


@blueprint.orchestration_trigger(context_name="context")
def hello_cities_parallel(context: df.DurableOrchestrationContext) -> Steps:
    """Fan-out and fan-in: all cities at once, answered in the order they were given."""
    greetings = [context.call_activity("say_hello", city) for city in context.get_input() or CITIES]
    return (yield context.task_all(greetings))


@blueprint.activity_trigger(input_name="city")
def say_hello(city: str) -> str:
    """Touches nothing, so it may run as often as it likes."""
    return f"Hello {city}!"
