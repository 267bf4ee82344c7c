"""The deployed app: one object, one line per workflow."""

import azure.durable_functions as df
import azure.functions as func

from workflows import external_event, starters

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)

for part in (
    starters,
    external_event,
):
    app.register_functions(part.blueprint)
