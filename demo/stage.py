"""The output of the demo: headings, sentences, tables and progress, on a terminal or as plain lines."""

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
"""Shows the latest progress, given as text."""


class Stage:
    """Shows a person what happens. Text is never read as markup, so titles may contain brackets."""

    def __init__(self, errors: TextIO) -> None:
        """Write to standard output, and failures to ``errors``."""
        self._errors = Console(file=errors, highlight=False)
        terminal = Console(highlight=False)
        self._rich = terminal.is_terminal
        self._console = terminal if self._rich else Console(highlight=False, width=PLAIN_WIDTH)
        self._begun = monotonic()

    @property
    def seconds(self) -> float:
        """The seconds since the demo started."""
        return monotonic() - self._begun

    def fail(self, text: str) -> None:
        """Show why the demo stops early."""
        self._errors.print(Text(text, style="red"), soft_wrap=True)

    def heading(self, text: str) -> None:
        """Begin a part of the story with a heading."""
        self._console.print()
        self._console.print(Text(text, style="bold cyan"))

    def say(self, text: str, *, style: str = "") -> None:
        """Show a sentence or two, wrapped at the width of the terminal."""
        self._show(Text(text, style=style))

    def code(self, text: str, language: str) -> None:
        """Show code without added line breaks, so that it can be copied from a terminal."""
        if self._rich:
            shown = Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True)
            self._show(shown, 2 * INDENT)
            return
        for line in text.splitlines():
            self._console.print(Text(f"{' ' * 2 * INDENT}{line}"), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a table; a column whose name ends with a space is aligned to the right."""
        table = Table(box=box.SIMPLE_HEAD if self._rich else None, pad_edge=False, header_style="bold")
        for name in columns:
            table.add_column(name.strip(), justify="right" if name.endswith(" ") else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(value)) for value in row))
        self._show(table, 2 * INDENT)

    @contextmanager
    def working(self, doing: str, total: int | None = None) -> Iterator[Report]:
        """Show that work is in progress and, at its end, how long it took.

        Args:
            doing: The work, as text.
            total: How many reports are expected, if that is known; then a bar shows their share.

        Yields:
            A function to call with the latest progress.
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
