"""A line that says what is being done, where it takes long and a person is watching."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

DELAY = 0.7
"""Seconds before anything is shown: most checks are done by then, and rich need not be imported."""


class Progress:
    """A context manager; `say` sets the text. It writes to standard error, and only if that is a terminal."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._text = ""
        self._status: Any = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        if self._enabled:
            self._timer = threading.Timer(DELAY, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def say(self, text: str) -> None:
        with self._lock:
            self._text = text
            if self._status is not None:
                self._status.update(text)

    def _show(self) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.status import Status

        with self._lock:
            if self._enabled:
                self._status = Status(escape(self._text), console=Console(stderr=True))
                self._status.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._enabled = False
            if self._status is not None:
                self._status.stop()
