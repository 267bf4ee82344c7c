"""The deployed app: one object, one line per workflow."""

import azure.durable_functions as df
import azure.functions as func

from workflows import external_event, notifications, order, starters, stock

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)

PARTS = (
    starters,
    notifications,
    stock,
    external_event,
    order,
)

for part in PARTS:
    app.register_functions(part.blueprint)
