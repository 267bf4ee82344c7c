"""The script the worker's process runs: loads this folder under a private name, out of the way of the app's modules."""

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "_functions_worker"


def load_privately() -> None:
    """Makes this folder the package `_functions_worker`, and takes it off the path."""
    here = Path(__file__).resolve().parent
    if sys.path and Path(sys.path[0] or ".").resolve() == here:
        del sys.path[0]
    spec = importlib.util.spec_from_file_location(NAME, here / "__init__.py", submodule_search_locations=[str(here)])
    if spec is None or spec.loader is None:
        raise ImportError(f"the worker's own code is missing in {here}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    load_privately()
    importlib.import_module(f"{NAME}.main").main()
