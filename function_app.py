"""The deployed app: one object, one line per workflow."""

import os

import azure.durable_functions as df
import azure.functions as func

from workflows import (
    device,
    eternal,
    etl,
    external_event,
    hello_cities,
    monitor,
    nightly,
    notifications,
    order,
    proposal_approval,
    report,
    starters,
    stock,
    tidying,
)

# Keys, unless the platform signs callers in before they reach the app (clientAuth: entra in infra).
app = df.DFApp(http_auth_level=func.AuthLevel[os.environ.get("HTTP_AUTH_LEVEL", "function").upper()])

PARTS = (
    starters,
    notifications,
    tidying,
    stock,
    external_event,
    hello_cities,
    order,
    proposal_approval,
    report,
    monitor,
    device,
    etl,
    nightly,
    eternal,
)

for part in PARTS:
    app.register_functions(part.blueprint)
