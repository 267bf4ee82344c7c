"""One package for both regions."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.hooks import build_package

FILES = {
    "function_app.py": "from workflows import order",
    "host.json": "{}",
    "requirements.txt": "",
    "workflows/__init__.py": "",
    "workflows/order.py": "from recovery import journal",
    "workflows/mail.txt": "Dear",
    "recovery/__init__.py": "",
    "recovery/journal.py": "import taskhub.clock",
    "taskhub/__init__.py": "",
    "taskhub/clock.py": "",
    "taskhub/hub.py": "for the lab",
    "recovery/failover.py": "for the operator",
    "lab/host.py": "never ships",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(build_package, "install_dependencies", lambda root, target: None)
    return tmp_path


def test_only_what_the_app_runs_is_in_the_package(root: Path) -> None:
    build_package.build(root, root / "dist")
    carried = {path.relative_to(root / "dist").as_posix() for path in (root / "dist").rglob("*") if path.is_file()}
    stays = {"recovery/failover.py", "lab/host.py", "taskhub/hub.py"}
    assert carried == set(FILES) - stays | {build_package.HASH_FILE}


def test_the_same_sources_are_built_once(root: Path) -> None:
    assert build_package.build(root, root / "dist")
    assert not build_package.build(root, root / "dist")


@pytest.mark.parametrize("name", ["function_app.py", "requirements.txt", "workflows/order.py", "recovery/journal.py"])
def test_a_change_is_built_again_under_another_hash(root: Path, name: str) -> None:
    build_package.build(root, root / "dist")
    before = (root / "dist" / build_package.HASH_FILE).read_text()
    (root / name).write_text("# changed")
    assert build_package.build(root, root / "dist")
    assert (root / "dist" / build_package.HASH_FILE).read_text() != before


def test_an_interrupted_build_is_done_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(root: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(build_package, "install_dependencies", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_package.build(root, root / "dist")
    assert build_package.build(root, root / "dist")


def test_dependencies_are_wheels_for_the_apps_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda command, check: commands.append(command))
    build_package.install_dependencies(tmp_path, tmp_path / "dist")
    assert "--only-binary=:all:" in commands[0]
    assert commands[0][commands[0].index("--platform") + 1] == "manylinux2014_x86_64"


def test_every_shipped_source_of_the_repository_exists() -> None:
    for path in build_package.sources(build_package.ROOT):
        assert (build_package.ROOT / path).is_file(), path
