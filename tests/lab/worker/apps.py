"""Apps written for one test."""

from __future__ import annotations

from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "function_apps"
HEAD = "import azure.durable_functions as df\nimport azure.functions as func\n"


def write_app(folder: Path, text: str, script: str = "function_app.py") -> Path:
    """Writes an app of one file, the usual imports first."""
    (folder / script).write_text(HEAD + text, "utf-8")
    return folder
