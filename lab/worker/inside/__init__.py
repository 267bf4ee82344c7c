"""What runs inside the worker: loads the app, calls its functions; needs nothing but the app's own packages.

In a process of its own this package is loaded under a private name (see `bootstrap`), so that none of the host's
modules can collide with the app's. Values crossing the boundary are JSON: dicts, lists, texts; bytes as base64.
"""
