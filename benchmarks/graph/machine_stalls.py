# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""When the machine itself stood still: a bare loop on every core, preferred to everything.

A virtual machine is taken off its processors now and then. Whatever runs there is late, and no
program can help it; a loop of higher real-time priority than the control tick, which does nothing
but sleep, shows when that was. Needs permission for real-time priority; without it, `allowed` is
false.

    python benchmarks/graph/machine_stalls.py FILE    until SIGTERM; FILE gets JSON
"""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

PERIOD_NS = 2_000_000
#: Later than this is noted [ns].
NOTED_NS = 1_500_000
PRIORITY = 90


def watch(core: int, file: str) -> None:
    """Note (from, to) of every sleep that lasted too long, wall clock [ns]."""
    os.sched_setaffinity(0, {core})
    allowed = True
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        allowed = False
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    stalls: list[tuple[int, int]] = []
    due = time.time_ns()
    while running:
        due += PERIOD_NS
        left = due - time.time_ns()
        if left > 0:
            time.sleep(left / 1e9)
        now = time.time_ns()
        if now - due > NOTED_NS:
            stalls.append((due, now))
            due = now
    Path(file).write_text(json.dumps({'allowed': allowed, 'stalls': stalls}), encoding='utf-8')


class MachineStalls:
    """Watches every core from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / f'stalls_{core}.json' for core in sorted(os.sched_getaffinity(0))]
        self._process: subprocess.Popen[bytes] | None = None
        self.allowed = False

    def start(self) -> MachineStalls:
        """Begin to watch."""
        command = [sys.executable, __file__, *map(str, self._files)]
        self._process = subprocess.Popen(command, start_new_session=True)
        return self

    def stop(self) -> list[tuple[int, int]]:
        """Return (from, to) of every stall of any core, wall clock [ns], oldest first."""
        if self._process is None:
            return []
        self._process.terminate()
        self._process.wait(timeout=10.0)
        found = [json.loads(file.read_text(encoding='utf-8')) for file in self._files]
        self.allowed = all(one['allowed'] for one in found)
        return sorted((begin, end) for one in found for begin, end in one['stalls'])


def main(files: list[str]) -> int:
    """Watch with one process a core until SIGTERM."""
    spawn = multiprocessing.get_context('fork')
    cores = sorted(os.sched_getaffinity(0))
    children = [spawn.Process(target=watch, args=pair) for pair in zip(cores, files, strict=True)]
    for child in children:
        child.start()
    signal.signal(signal.SIGTERM, lambda *_: [child.terminate() for child in children])
    for child in children:
        child.join()
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
