"""Loads the app as the Python worker does: one module, exactly one app object, its functions asked for once.

The rules and texts are those of azure-functions-python-worker (`loader.py`): the script is `function_app.py` or what
PYTHON_SCRIPT_FILE_NAME says, imported under its stem with the app's root as working directory and first on the path.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from .failures import LoadFailed, app_frames

SCRIPT_NAME = re.compile(r"^[a-zA-Z0-9_][a-zA-Z0-9_\-]*\.py$")
DEFAULT_SCRIPT = "function_app.py"


def script_name() -> str:
    """The file name of the app's script. LoadFailed: PYTHON_SCRIPT_FILE_NAME is no file name."""
    name = os.environ.get("PYTHON_SCRIPT_FILE_NAME") or DEFAULT_SCRIPT
    if not SCRIPT_NAME.match(name):
        raise LoadFailed(f"PYTHON_SCRIPT_FILE_NAME is {name!r}, which is no file name ending in .py.")
    return name


def prepare_path(root: Path) -> None:
    """Puts the app's root, and the packages it carries along, first on the path."""
    carried = root / ".python_packages" / "lib" / "site-packages"
    for folder in (carried, root):
        if folder == root or folder.is_dir():
            sys.path.insert(0, str(folder))


def load_functions(root: Path) -> list[Any]:
    """The functions of the app in `root`, as its app object lists them. LoadFailed: the text says why not."""
    script = script_name()
    if not (root / script).is_file():
        if any(root.glob("*/function.json")):
            raise LoadFailed(f"There is no {script} in {root}, only function.json: the v1 model does not run here.")
        raise LoadFailed(
            f"There is no {script} in {root}. Give the app's folder with --app; "
            "another file name goes into PYTHON_SCRIPT_FILE_NAME."
        )
    module = _import(script)
    app = _only_app(module, script)
    try:
        return list(app.get_functions())
    except Exception as error:
        raise LoadFailed(f"{script}: {error}", _trace(error)) from error


def _import(script: str) -> ModuleType:
    try:
        return importlib.import_module(Path(script).stem)
    except BaseException as error:  # the app may even call sys.exit
        if isinstance(error, KeyboardInterrupt):
            raise
        raise LoadFailed(f"{script} cannot be imported: {type(error).__name__}: {error}", _trace(error)) from error


def _only_app(module: ModuleType, script: str) -> Any:
    try:
        from azure.functions import FunctionRegister
    except ImportError as error:
        raise LoadFailed(
            f"The app's interpreter ({sys.executable}) has no azure-functions 1.x with the v2 programming model: "
            f"{error}. Install the app's requirements there, or name another interpreter with --python."
        ) from error
    names = [name for name in dir(module) if isinstance(getattr(module, name, None), FunctionRegister)]
    if not names:
        raise LoadFailed(f"Could not find top level function app instances in {script}.")
    if len(names) > 1:
        raise LoadFailed(
            f"More than one {type(getattr(module, names[0])).__name__} or other top level function app instances are "
            f"defined in {script}: {', '.join(names)}. Keep one, under one name."
        )
    return getattr(module, names[0])


def _trace(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(type(error), error))
    frames = traceback.extract_tb(app_frames(error.__traceback__))
    own = [frame for frame in frames if "importlib" not in frame.filename]
    return "".join([*traceback.format_list(own), *traceback.format_exception_only(type(error), error)])
