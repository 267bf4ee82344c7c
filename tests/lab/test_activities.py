"""What an activity's end is told as."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from lab.testing import AppHost
from lab.worker import FunctionTimedOut

APP = Path(__file__).resolve().parent.parent / "function_apps" / "test_kit"


def test_an_activity_that_ran_too_long_fails_with_the_words_of_the_functions_host() -> None:
    run = AppHost(APP).run("greet_all", ["Ada"], greet=FunctionTimedOut("greet", timedelta(seconds=2)))
    assert run.status == "Failed"
    assert (
        "Activity function 'greet' failed: Timeout value of 00:00:02 was exceeded by function: Functions.greet"
        in run.output
    )
