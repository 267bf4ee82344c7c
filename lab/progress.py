"""What a person sees while a command works: the steps, bars that move, and room for a summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

WIDTH_WITHOUT_TERMINAL = 110


class Screen:
    """The terminal, or whatever the output goes to. `ask` waits for the person, before each step if `stepwise`."""

    def __init__(
        self, console: Console | None = None, ask: Callable[[str], str] | None = None, stepwise: bool = False
    ) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = WIDTH_WITHOUT_TERMINAL
        self._ask = ask
        self._stepwise = stepwise

    def say(self, text: RenderableType = "") -> None:
        """One line, or anything else that can be drawn."""
        self._console.print(text)

    def step(self, name: str, explanation: str) -> None:
        """Announces a step; explains it and waits for Enter when steps are taken one by one."""
        if not self._stepwise:
            return
        self._console.print(f"\n[bold]{name}[/bold]\n{explanation}")
        self.wait("Enter goes on … ")

    def wait(self, prompt: str) -> None:
        """Waits for Enter; an input that has ended counts as one."""
        try:
            if self._ask is not None:
                self._ask(prompt)
        except EOFError:
            pass

    @contextmanager
    def bar(self, label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A bar while the block runs; what it gives takes how much is done. Without a total it only shows life."""
        columns = (TextColumn("{task.description:42}"), BarColumn(bar_width=30))
        counted = (MofNCompleteColumn(),) if total else ()
        with Progress(*columns, *counted, TimeElapsedColumn(), console=self._console) as progress:
            task = progress.add_task(label, total=total)
            yield lambda done: progress.update(task, completed=done)
            progress.update(task, total=total or 1, completed=total or 1)
