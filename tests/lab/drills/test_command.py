"""The drill's arguments: what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.drills.command import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--instances", "0"], "'0' is not a number of instances from 1 to 9999"),
        (["--instances", "many"], "'many' is not a number of instances"),
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
