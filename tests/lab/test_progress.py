"""What a person sees: steps explained and waited for when asked, bars, plain lines without a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from lab.progress import Screen


def screen(asked: list[str] | None = None, stepwise: bool = False) -> tuple[Screen, io.StringIO]:
    def ask(prompt: str) -> str:
        assert asked is not None
        asked.append(prompt)
        return ""

    out = io.StringIO()
    return Screen(Console(file=out, highlight=False), ask, stepwise), out


def test_a_step_is_explained_and_waited_for_when_steps_are_taken_one_by_one() -> None:
    asked: list[str] = []
    shown, out = screen(asked, stepwise=True)
    shown.step("lose West Europe", "The region is gone.")
    assert "lose West Europe" in out.getvalue() and "The region is gone." in out.getvalue()
    assert len(asked) == 1


def test_otherwise_a_step_is_neither_explained_nor_waited_for() -> None:
    asked: list[str] = []
    shown, out = screen(asked)
    shown.step("lose West Europe", "The region is gone.")
    assert out.getvalue() == "" and asked == []


def test_an_input_that_has_ended_goes_on() -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    Screen(Console(file=io.StringIO()), ended).wait("Enter … ")


def test_a_bar_says_what_is_done_and_how_much() -> None:
    shown, out = screen()
    with shown.bar("clients start instances", 3) as done:
        done(2)
    assert "clients start instances" in out.getvalue() and "3/3" in out.getvalue()
