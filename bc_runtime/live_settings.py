# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What was set while a process ran, kept by its supervisor for the process after it.

The supervisor makes a file without a name in memory and hands it down. The process appends what is
set to it, one JSON line each; it needs no disk and nothing to clean, and a process that is killed
in the middle of a line leaves the lines before it.
"""

from __future__ import annotations

import contextlib
import json
import os

#: By this variable a supervisor says in which descriptor.
VARIABLE = 'BC_SETTINGS'

Setting = bool | int | float | str | list[bool] | list[int] | list[float] | list[str]


class LiveSettings:
    """Notes what is set, in the process that it is set in.

    Args:
        descriptor: Where to; None: nobody keeps it.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @classmethod
    def of_process(cls) -> LiveSettings:
        """Return the settings that this process's supervisor keeps, if there is one."""
        text = os.environ.get(VARIABLE, '')
        return cls(int(text) if text.isdigit() else None)

    def note(self, name: str, value: Setting) -> None:
        """Keep a parameter's value."""
        if self._descriptor is not None:
            # Where a process was killed within a line, this begins another one.
            os.write(self._descriptor, f'\n{json.dumps({name: value})}\n'.encode())

    def read(self) -> dict[str, Setting]:
        """Return name -> value that was set last, by this process or those before it."""
        return {} if self._descriptor is None else _read(self._descriptor)


class KeptSettings:
    """The supervisor's side: one for all processes that follow each other."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create('bc_settings')

    def read(self) -> dict[str, Setting]:
        """Return name -> value that was set last."""
        return _read(self.descriptor)

    def close(self) -> None:
        """Forget them."""
        os.close(self.descriptor)


def _read(descriptor: int) -> dict[str, Setting]:
    kept: dict[str, Setting] = {}
    for line in os.pread(descriptor, os.fstat(descriptor).st_size, 0).split(b'\n'):
        with contextlib.suppress(ValueError):  # the unfinished line of a killed process
            kept.update(json.loads(line or b'{}'))
    return kept
