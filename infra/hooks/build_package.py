"""prepackage and predeploy: build one package for both regions, `dist/package`, with everything the app needs.

Dependencies are wheels for the platform that the apps run on, whatever this machine is, so nothing is built on Azure.
Built again only when a source or a requirement has changed.
"""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON_VERSION = "3.12"
PLATFORM = "manylinux2014_x86_64"
HASH_FILE = "package-hash.txt"

# What ships: these, the workflows, and whatever of the project they import. The operator's tools stay here.
FILES = ("function_app.py", "host.json", "requirements.txt")
NEVER = {"__pycache__"}


def sources(root: Path) -> list[Path]:
    """Every file of the project that belongs into the package, relative to the root."""
    workflows = [
        p.relative_to(root) for p in (root / "workflows").rglob("*") if p.is_file() and not NEVER & set(p.parts)
    ]
    found = {Path(name) for name in FILES} | set(workflows)
    waiting = [path for path in found if path.suffix == ".py"]
    while waiting:
        new = set(_imported(root, waiting.pop())) - found
        found |= new
        waiting += new
    return sorted(found)


def _imported(root: Path, source: Path) -> Iterator[Path]:
    """Files of the project that a module imports, with the packages they are in."""
    for node in ast.walk(ast.parse((root / source).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            yield from _files_of(root, name.split("."))


def _files_of(root: Path, parts: list[str]) -> Iterator[Path]:
    for length in range(1, len(parts) + 1):
        path = Path(*parts[:length])
        candidates = (path / "__init__.py", path.with_suffix(".py"))
        yield from (candidate for candidate in candidates if (root / candidate).is_file())


def fingerprint(root: Path) -> str:
    """A hash over names and contents: the same sources give the same package."""
    digest = hashlib.sha256(f"{PYTHON_VERSION} {PLATFORM}".encode())
    for path in sources(root):
        digest.update(path.as_posix().encode() + b"\0" + (root / path).read_bytes() + b"\0")
    return digest.hexdigest()


def install_dependencies(root: Path, target: Path) -> None:
    """Fills `.python_packages` with wheels for the apps' platform. Raises CalledProcessError with pip's own words."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    what = ["--requirement", str(root / "requirements.txt")]
    where = ["--target", str(target / ".python_packages" / "lib" / "site-packages")]
    platform = ["--platform", PLATFORM, "--python-version", PYTHON_VERSION, "--implementation", "cp"]
    subprocess.run([*pip, *what, *where, *platform, "--only-binary=:all:"], check=True)


def build(root: Path, target: Path) -> bool:
    """Makes the package; False when it was there already. An interrupted build leaves no hash, so it is done again."""
    wanted = fingerprint(root)
    hash_file = target / HASH_FILE
    if hash_file.is_file() and hash_file.read_text(encoding="utf-8").strip() == wanted:
        return False
    shutil.rmtree(target, ignore_errors=True)
    for path in sources(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target / path)
    install_dependencies(root, target)
    hash_file.write_text(wanted + "\n", encoding="utf-8")
    return True


def main() -> int:
    """1 when the package could not be built."""
    target = ROOT / "dist" / "package"
    try:
        made = build(ROOT, target)
    except subprocess.CalledProcessError as error:
        print(f"The package was not built: pip ended with {error.returncode}. See its message above.", file=sys.stderr)
        return 1
    print(f"{target} {'built' if made else 'is up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
