"""The app's own module `app`."""


def greet(name: str) -> str:
    return f"Hello {name}"
