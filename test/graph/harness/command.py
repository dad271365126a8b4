# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The command `bc` as a process, as a user starts it."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from std_srvs.srv import Trigger

from harness.strays import favour, processes_in
from harness.witness import Witness

#: Longest time that a command may take to end by itself [s].
TIMEOUT_S = 60.0
#: How often to look for new nodes [s].
LOOK_PERIOD_S = 0.3


class BcCommand:
    """One running `bc <arguments>` in a ROS domain, its output in files.

    Args:
        folder: For the output; also the working directory.
        program: What Python runs.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        domain: int,
        program: Sequence[str] = ('-m', 'bc_runtime.cli.main'),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.domain = domain
        self._out, self._err = folder / 'stdout.txt', folder / 'stderr.txt'
        with self._out.open('wb') as out, self._err.open('wb') as err:
            self._popen = subprocess.Popen(
                # What runs in the background of a shell ignores SIGINT, and so do its children.
                ['env', '--default-signal=INT', sys.executable, *program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
                start_new_session=True,
            )
        favour(self._popen.pid)
        self._favoured: set[int] = set()
        self._looked_s = 0.0

    @property
    def stdout(self) -> str:
        """What it wrote so far."""
        return self._out.read_text(errors='replace')

    @property
    def stderr(self) -> str:
        """What it and its nodes wrote so far."""
        return self._err.read_text(errors='replace')

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def check_alive(self) -> None:
        """Raise if it has ended."""
        self.attend()
        if not self.running:
            raise AssertionError(f'bc has ended with {self._popen.returncode}: {self.stderr}')

    def attend(self) -> bool:
        """Favour the nodes that it has started meanwhile; return whether it runs."""
        now = time.monotonic()
        if now - self._looked_s > LOOK_PERIOD_S:
            self._looked_s = now
            for pid in processes_in(self.domain).keys() - self._favoured:
                favour(pid)
                self._favoured.add(pid)
        return self.running

    def nodes(self) -> dict[str, int]:
        """Return node name -> process id of the nodes of its domain, the simulator left out."""
        return {
            command.partition('__node:=')[2].split()[0]: pid
            for pid, command in processes_in(self.domain).items()
            if '__node:=' in command
        }

    def node_signal(self, name: str, number: signal.Signals) -> tuple[int, int]:
        """Send a signal to a node; return its process id and when, monotonic clock [ns]."""
        pid = self.nodes()[name]
        at_ns = time.monotonic_ns()
        os.kill(pid, number)
        return pid, at_ns

    def signal(self, number: signal.Signals) -> int:
        """Send a signal; return when, on the monotonic clock [ns]."""
        at_ns = time.monotonic_ns()
        self._popen.send_signal(number)
        return at_ns

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait for its end and return the exit code."""
        return self._popen.wait(timeout=timeout_s)

    def close(self) -> None:
        """End it, however."""
        if self.running:
            self._popen.terminate()
            try:
                self._popen.wait(timeout=10.0)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()


def start(w: Witness, service: str = 'controller/start') -> None:
    """Start or resume, again where a busy machine stopped the policy, until the robot moves."""
    w.until(lambda: w.state in ('READY', 'HELD'), 'READY')
    deadline = time.monotonic() + 40.0
    while time.monotonic() < deadline:
        w.until(lambda: w.observations and w.observations[-1].valid, 'an observation')
        w.call(service, Trigger.Request())
        w.until(lambda: w.state in ('AUTO', 'HELD', 'READY'), 'AUTO')
        try:
            w.until(lambda: w.state == 'AUTO' and speed(w) > 0.4, 'motion', timeout_s=5.0)
            return
        except AssertionError:
            continue
    raise AssertionError(f'the robot does not start to move; {w.tell()}')


def speed(w: Witness) -> float:
    """Return the largest speed of the newest command [rad/s or m/s]."""
    return float(abs(w.wire.commands[-1].velocities[0]).max()) if w.wire.commands else 0.0
