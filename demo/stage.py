"""Where the story is told: headings, sentences, tables and what is waited for, on a terminal or as plain lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from localcloud.base.clock import monotonic

PLAIN_WIDTH = 132
INDENT = 2

Report = Callable[[str], None]


class Stage:
    """Tells a person what happens. Nothing that is told is read as markup: titles may have any brackets."""

    def __init__(self, errors: TextIO) -> None:
        """Tell on standard output, and what goes wrong on ``errors``."""
        self._errors = Console(file=errors, highlight=False)
        terminal = Console(highlight=False)
        self._rich = terminal.is_terminal
        self._console = terminal if self._rich else Console(highlight=False, width=PLAIN_WIDTH)
        self._begun = monotonic()

    @property
    def seconds(self) -> float:
        """How long the story has been going on."""
        return monotonic() - self._begun

    def fail(self, text: str) -> None:
        """Tell why the story ends early."""
        self._errors.print(Text(text, style="red"), soft_wrap=True)

    def heading(self, text: str) -> None:
        """Begin a part of the story."""
        self._console.print()
        self._console.print(Text(text, style="bold cyan"))

    def say(self, text: str, *, style: str = "") -> None:
        """Tell a sentence or two, folded at the terminal's width."""
        self._show(Text(text, style=style))

    def code(self, text: str, language: str) -> None:
        """Show code as it is; it may be copied from a terminal without line breaks that are none of its own."""
        if self._rich:
            shown = Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True)
            self._show(shown, 2 * INDENT)
            return
        for line in text.splitlines():
            self._console.print(Text(f"{' ' * 2 * INDENT}{line}"), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show rows; a column whose name ends in a blank is aligned to the right."""
        table = Table(box=box.SIMPLE_HEAD if self._rich else None, pad_edge=False, header_style="bold")
        for name in columns:
            table.add_column(name.strip(), justify="right" if name.endswith(" ") else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(value)) for value in row))
        self._show(table, 2 * INDENT)

    @contextmanager
    def working(self, doing: str, total: int | None = None) -> Iterator[Report]:
        """Show that something is under way and, once it is done, how long it took.

        Yields a function that takes note of progress: it is told what has just happened, and with ``total`` counts it.
        """
        begun = monotonic()
        with self._progress(doing, total) if self._rich else nullcontext(lambda latest: None) as report:
            yield report
        self._show(Text.assemble(doing, ": ", (f"{monotonic() - begun:.1f} s", "green")))

    @contextmanager
    def _progress(self, doing: str, total: int | None) -> Iterator[Report]:
        columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        columns += [BarColumn()] if total else []
        columns += [TextColumn("{task.fields[latest]}", style="dim", markup=False), TimeElapsedColumn()]
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(doing, total=total, latest="")
            yield lambda latest: progress.update(task, advance=1, latest=latest)

    def _show(self, shown: RenderableType, indent: int = INDENT) -> None:
        self._console.print(Padding(shown, (0, 0, 0, indent), expand=False))
