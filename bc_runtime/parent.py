# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A process that ends with its parent, in order: the controller brakes first.

The kernel sends SIGINT to a child when its parent dies, however that happens. Every process of a
deployment is started so, `bc deploy` by `ros2 launch` too. A signal that comes while the child
still starts waits until the child can act on it; Python would die of it, or print a traceback.
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
import shutil
import signal

from bc_runtime.spec.errors import ConfigError

#: By this variable a parent tells its child which process it is.
VARIABLE = 'BC_PARENT'
#: Signals that wait until the child calls `release_signals`.
HELD = (signal.SIGINT, signal.SIGTERM)

_NAMES = ','.join(number.name.removeprefix('SIG') for number in HELD)


@functools.cache
def ending_with_parent(*, hold: bool = False) -> tuple[str, ...]:
    """Return what goes before a command: default signals, and SIGINT when the parent dies.

    Both are programs of every Debian and Ubuntu, each of which becomes the command. Python code
    between fork and exec, which could do the same, can block for ever in a process with threads.

    Args:
        hold: The command calls `release_signals`; until then signals wait.

    Raises:
        ConfigError: one of them is missing.
    """
    hold_back = [f'--block-signal={_NAMES}'] if hold else []
    prefix: list[str] = []
    for name, *options in (
        ('env', f'--default-signal={_NAMES}', *hold_back),
        ('setpriv', '--pdeathsig', 'INT', '--'),
    ):
        program = shutil.which(name)
        if program is None:
            raise ConfigError(
                f'the program {name!r} is not in PATH; nodes that would outlive a killed launcher '
                'are not started. Install coreutils and util-linux'
            )
        prefix += [program, *options]
    return tuple(prefix)


def hold_signals() -> None:
    """Let signals wait until `release_signals`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def release_signals() -> None:
    """Let signals come that were held back; the handlers must be there."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


def signal_waits() -> bool:
    """Tell whether a signal has come to this process and is held back."""
    return bool(signal.sigpending() & set(HELD))


def holds_signals(pid: int) -> bool:
    """Tell whether a child has not released its signals: it still starts, and moves nothing."""
    with contextlib.suppress(OSError):
        for line in Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines():
            if line.startswith('SigBlk:'):
                return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    return False


def parent_has_died() -> bool:
    """Tell whether the parent died before the kernel knew that this process is to end with it."""
    parent = os.environ.get(VARIABLE, '')
    return parent.isdigit() and os.getppid() != int(parent)
