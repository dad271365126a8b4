# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Start the processes of a deployment, watch them, and bring them to rest in the right order.

This is the renderer of `bc_runtime.deployment` for machines without launch_ros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import ctypes
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import IO

from bc_runtime.deployment import NodeDescription, ParameterValue

#: Time for the controller to brake before the others are told to end [s].
BRAKE_TIME_S = 1.2
#: Time for the others [s]; what is left then is killed.
END_TIME_S = 0.7

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Process:
    """One running node."""

    name: str
    popen: subprocess.Popen[bytes]


def command_line(node: NodeDescription) -> list[str]:
    """Return the command that starts one node."""
    command = [sys.executable, '-m', node.module, '--ros-args', '-r', f'__node:={node.name}']
    if node.namespace:
        command += ['-r', f'__ns:=/{node.namespace.strip("/")}']
    if node.params_file:
        command += ['--params-file', node.params_file]
    for name, value in node.parameters.items():
        command += ['-p', f'{name}:={_yaml_value(value)}']
    return [*command, '--log-level', f'{node.name}:={node.log_level}']


def _yaml_value(value: ParameterValue) -> str:
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, list):
        return '[' + ', '.join(_yaml_value(item) for item in value) + ']'
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


class ProcessGroup:
    """The processes of one deployment.

    Args:
        log_directory: Each node's output goes to `<name>.log` there; None: this process's stderr.
        environment: Variables on top of this process's.
    """

    def __init__(
        self, *, log_directory: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log_directory = log_directory
        self._environment = {**os.environ, **(environment or {})}
        self._processes: list[Process] = []
        self._logs: list[IO[bytes]] = []

    def start(self, nodes: Iterable[NodeDescription]) -> None:
        """Start every node, in order."""
        for node in nodes:
            self.start_command(node.name, command_line(node))

    def start_command(self, name: str, command: list[str]) -> None:
        """Start one process in a session of its own, so that only we send it signals."""
        output: IO[bytes] | None = None
        if self._log_directory is not None:
            self._log_directory.mkdir(parents=True, exist_ok=True)
            output = (self._log_directory / f'{name}.log').open('wb')
            self._logs.append(output)
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output if output is not None else sys.stderr.fileno(),
            stderr=subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        self._processes.append(Process(name, popen))

    def pid(self, name: str) -> int:
        """Return the process id of a node."""
        return next(p.popen.pid for p in self._processes if p.name == name)

    def pids(self) -> dict[str, int]:
        """Return name -> process id of every running process."""
        return {p.name: p.popen.pid for p in self._processes if p.popen.poll() is None}

    def ended(self) -> tuple[str, int] | None:
        """Return (name, exit code) of a process that has ended, or None while all run."""
        for process in self._processes:
            code = process.popen.poll()
            if code is not None:
                return process.name, code
        return None

    def log_tail(self, name: str, lines: int = 15) -> str:
        """Return the last lines that a node wrote."""
        if self._log_directory is None:
            return ''
        path = self._log_directory / f'{name}.log'
        if not path.is_file():
            return ''
        return '\n'.join(path.read_text(errors='replace').splitlines()[-lines:])

    def stop(self, *, first: str = 'controller') -> None:
        """Bring everything to rest: `first` brakes while the others still run, then they end."""
        leaders = [p for p in self._processes if p.name == first]
        others = [p for p in self._processes if p.name != first]
        self._end(leaders, BRAKE_TIME_S)
        self._end(others, END_TIME_S)
        for log in self._logs:
            log.close()
        self._logs.clear()

    @staticmethod
    def _end(processes: list[Process], timeout_s: float) -> None:
        for process in processes:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGINT)
        deadline = time.monotonic() + timeout_s
        for process in processes:
            try:
                process.popen.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()


def _end_with_parent() -> None:
    """Run in the child: default signals, and SIGINT when the launcher dies: none is left."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
