"""The drill's arguments: what is refused, and how it is said; and a drill that cannot be carried out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from lab.drills.command import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--instances", "0"], "'0' is not a number of instances from 1 to 9999"),
        (["--instances", "many"], "'many' is not a number of instances"),
        (["--instances", "7.5"], "'7.5' is not a number of instances"),
        (["--lag", "-1"], "'-1' is not a lag in seconds from 0 to 3600"),
        (["--lag", "nan"], "'nan' is not a lag in seconds"),
        (["--distribution", "flat"], "invalid choice: 'flat'"),
        (["--recover"], "unrecognized arguments: --recover"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--report", __file__], "is a file, not a folder"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_with_a_reason(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--split-brain"]])
def test_a_drill_that_cannot_be_carried_out_says_why_in_a_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # where hosts' files would go
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith("drill: [Errno 2] No such file or directory") and told.count("\n") == 1
