# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One line on the terminal that is rewritten while something runs; plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time

_PERIOD_S = 0.1


class LiveLine:
    """Progress on stderr; silent updates when stderr is no terminal.

    Args:
        enabled: False prints only notes and results.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._live = enabled and sys.stderr.isatty()
        self._last = 0.0
        self._shown = False

    def update(self, text: str) -> None:
        """Rewrite the line, at most ten times a second."""
        now = time.monotonic()
        if not self._live or now - self._last < _PERIOD_S:
            return
        self._last = now
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write('\r\x1b[2K' + text[:width])
        sys.stderr.flush()
        self._shown = True

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(text, file=sys.stderr, flush=True)

    result = note

    def close(self) -> None:
        """Leave a clean line."""
        self._clear()

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write('\r\x1b[2K')
            self._shown = False
