"""How far `check` is: a bar on stderr where that is a terminal, else nothing."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType
from typing import Self

from rich.cells import set_cell_size

from oauth_server.commands.output import plain

_BAR = 24  # characters
_CLEAR = "\r\x1b[K"


class Bar:
    """The bar; it is gone when the run ends."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._line = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(_CLEAR if self._line else "")

    async def progress(self, done: int, of: int, title: str) -> None:
        """Draw how many checks are judged, of how many, and the title of the last one."""
        filled = _BAR * done // of
        text = f"[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{of} {plain(title)}"
        self._line = set_cell_size(text, max(1, shutil.get_terminal_size().columns - 1)).rstrip()
        self._write(_CLEAR + self._line)

    def tell(self, text: str) -> None:
        """Write a line that stays, above the bar; also where stderr is no terminal."""
        sys.stderr.write(f"{_CLEAR if self._line and self._shown else ''}{plain(text)}\n")
        self._write(self._line)

    def _write(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(text)
            sys.stderr.flush()
