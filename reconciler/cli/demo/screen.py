"""Live progress: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status

PLAIN_WIDTH = 120
PLAIN_SECONDS = 5.0
"""Without a terminal, how often a change of the moving line is printed."""


def make_console() -> Console:
    """The terminal as it is; a file gets lines wide enough for tables."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    return console


@dataclass
class Screen:
    """What the demo prints."""

    console: Console = field(default_factory=make_console)
    quiet: bool = False
    """Print nothing that moves where there is no terminal."""

    _started: float = field(default_factory=time.monotonic)
    _moving: Status | None = None
    _last_text: str = ""
    _last_time: float = 0.0

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._started

    def step(self, number: int, title: str) -> None:
        """A numbered heading."""
        self.console.print(
            f"\n[bold cyan]{number}.[/] [bold]{title}[/]"
            f" [dim]{self.seconds:5.1f} s[/]"
        )

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(f"   {text}", soft_wrap=True)

    @contextmanager
    def moving(self) -> Iterator[None]:
        """While inside, `show` updates one line."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status("") as status:
            self._moving = status
            try:
                yield
            finally:
                self._moving = None

    def show(self, text: str) -> None:
        """What is going on right now."""
        if self._moving is not None:
            self._moving.update(f"{text} [dim]{self.seconds:5.1f} s[/]")
            return
        if self.quiet:
            return
        now = time.monotonic()
        if text != self._last_text and now - self._last_time > PLAIN_SECONDS:
            self._last_text, self._last_time = text, now
            self.console.print(
                f"   {text} [dim]{self.seconds:5.1f} s[/]", soft_wrap=True
            )
