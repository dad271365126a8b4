# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Note when something happened, on the clock that all processes of one machine share."""

from __future__ import annotations

import json
from pathlib import Path
import time


class Trace:
    """Events of one process: what, for which observation stamp or chunk, when [ns]."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events: list[tuple[str, int, str, int]] = []

    def note(self, what: str, key: int, detail: str = '', at_ns: int | None = None) -> None:
        """Keep an event in memory; now if `at_ns` is None."""
        self._events.append((what, key, detail, time.time_ns() if at_ns is None else at_ns))

    def write(self) -> None:
        """Write all events."""
        self._path.write_text(json.dumps(self._events), encoding='utf-8')


def read(folder: Path) -> dict[str, dict[int, list[tuple[str, int]]]]:
    """Return what -> key -> [(detail, time)] of all processes that wrote into a folder."""
    found: dict[str, dict[int, list[tuple[str, int]]]] = {}
    for path in folder.glob('*.trace'):
        for what, key, detail, at_ns in json.loads(path.read_text(encoding='utf-8')):
            found.setdefault(what, {}).setdefault(key, []).append((detail, at_ns))
    return found
