"""One screen of output: a line or two a step, with the seconds it took."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.text import Text

from reconciler.cli.demo.screen import Screen

WIDTH = 79
NAME_WIDTH = 13
TIME_WIDTH = 8
MAX_LINES = 2


@dataclass
class Lines:
    """What is printed, and how many steps were seen."""

    screen: Screen
    steps: int = 0
    _told: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step; what `tell` says inside is printed at its end."""
        self._told = []
        started = time.monotonic()
        yield
        self.steps += 1
        seconds = f"{time.monotonic() - started:.1f} s"
        first, *rest = self._told
        left = WIDTH - TIME_WIDTH
        title = f"{self.steps:2} {name:<{NAME_WIDTH - 3}}{first}"[:left]
        line = f"{title:<{left}}{seconds:>{TIME_WIDTH}}"
        self.screen.console.print(Text(line))
        for line in rest:
            self.say(line)

    def tell(self, text: str) -> None:
        """A line of the step under way."""
        self._told.append(text)

    def say(self, text: str, indent: int = NAME_WIDTH) -> None:
        """A line by itself, or two."""
        for line in textwrap.wrap(
            text,
            WIDTH,
            initial_indent=" " * indent,
            subsequent_indent=" " * indent,
            max_lines=MAX_LINES,
            placeholder=" ...",
        ):
            self.screen.console.print(Text(line, style="dim"))
