"""The app whose answers were recorded: a function for everything that a Durable Functions app in Python can do."""

import activities
import azure.durable_functions as df
import azure.functions as func
import entities
import starters
from orchestrators import children, control, data, events, failures, generations, status, tasks, timers
from values import Plain, Point  # recorded as function_app.Point, and looked up here by that name

__all__ = ["Plain", "Point", "app"]

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

ORCHESTRATORS = (children, control, data, events, failures, generations, status, tasks, timers)

for part in (starters, activities, entities, *ORCHESTRATORS):
    app.register_functions(part.blueprint)
