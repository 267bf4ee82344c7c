"""An app whose modules are called as the host's are, with settings read at import and a folder on the path."""

from __future__ import annotations

import json
import os
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func
import config  # a module of the app's
import models.city  # from PYTHONPATH=src, a namespace package
from app import greet  # not the worker's module of that name
from lab.blueprint import blueprint  # not the host's package

LIMIT = int(os.environ["LIMIT"])
NAMES = json.loads(Path("config.json").read_text("utf-8"))

functions = df.DFApp(http_auth_level="ANONYMOUS")
functions.register_functions(blueprint)


@functions.route(route="where")
def where(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "limit": LIMIT,
        "names": NAMES,
        "config": config.NAME,
        "city": models.city.NAME,
        "greeting": greet("Ada"),
        "folder": os.getcwd(),
        "module": __name__,
    }
    return func.HttpResponse(json.dumps(seen))
