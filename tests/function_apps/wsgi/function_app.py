"""A whole WSGI application behind one function."""

import azure.functions as func


def application(environ, start_response):
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    return [b"from wsgi: " + environ["wsgi.input"].read()]


app = func.WsgiFunctionApp(app=application, http_auth_level=func.AuthLevel.ANONYMOUS)
