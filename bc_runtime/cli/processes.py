# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Start the processes of a deployment, watch them, and bring them to rest in the right order.

This is the renderer of `bc_runtime.deployment` for machines without launch_ros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
import functools
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from typing import IO, cast

from bc_runtime.cli.shared_memory import sweep_dead_segments
from bc_runtime.deployment import (
    RESTART_WINDOW_S,
    RESTARTS_VARIABLE,
    NodeDescription,
    ParameterValue,
)
from bc_runtime.heartbeat import VARIABLE, HeartbeatWatch
from bc_runtime.spec.errors import ConfigError

#: Time for the controller to brake before the others are told to end [s].
BRAKE_TIME_S = 1.2
#: Time for the others at least [s]; what is left then is killed. Together with the time that the
#: launcher itself needs to end, 0.2 to 0.3 s, this keeps `bc demo` within 2 s after Ctrl-C.
END_TIME_S = 0.5

#: Programs that prepare the child, and their options.
_FIRST = (('env', '--default-signal=INT'), ('setpriv', '--pdeathsig', 'INT', '--'))


@dataclass(slots=True)
class Process:
    """One running node, when it was started again [s, monotonic], and how its heart beats."""

    name: str
    command: list[str]
    popen: subprocess.Popen[bytes]
    required: bool = True
    restarts: int = 0
    restarted: list[float] = field(default_factory=list)
    heart: HeartbeatWatch | None = None

    def restartable(self) -> bool:
        """Tell whether a process has ended in a way that another one may take its place after.

        Only what a signal ended (exit code below 0) has: an exit code is an answer.
        """
        return (self.popen.poll() or 0) < 0 and self.restarts > 0

    def may_restart(self, now_s: float) -> bool:
        """Tell whether a process that has ended is to be started again now."""
        return self.restartable() and self.restarts_within(now_s) < self.restarts

    def restarts_within(self, now_s: float) -> int:
        """Return how often it was started again within the window that ends now."""
        return sum(now_s - at < RESTART_WINDOW_S for at in self.restarted)


def command_line(node: NodeDescription) -> list[str]:
    """Return the command that starts one node."""
    command = [sys.executable, '-m', node.module, '--ros-args', '-r', f'__node:={node.name}']
    if node.namespace:
        command += ['-r', f'__ns:=/{node.namespace.strip("/")}']
    for name, other in node.remappings.items():
        command += ['-r', f'{name}:={other}']
    if node.params_file:
        command += ['--params-file', node.params_file]
    for name, value in node.parameters.items():
        command += ['-p', f'{name}:={_yaml_value(value)}']
    command += ['--enclave', node.enclave]
    return [*command, '--log-level', f'{node.logger}:={node.log_level}']


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
        self._mourned: set[str] = set()
        # Deployments whose nodes were killed would otherwise fill the memory, one after the other.
        sweep_dead_segments()

    def start(self, nodes: Iterable[NodeDescription]) -> None:
        """Start every node, in order."""
        for node in nodes:
            self.start_command(
                node.name, command_line(node), required=node.required, restarts=node.restarts
            )

    def start_command(
        self, name: str, command: list[str], *, required: bool = True, restarts: int = 0
    ) -> None:
        """Start one process in a session of its own, so that only we send it signals."""
        popen, heart = self._launch(name, command, 'wb', {}, watched=restarts > 0)
        self._processes.append(
            Process(name, command, popen, required=required, restarts=restarts, heart=heart)
        )

    def _launch(
        self, name: str, command: list[str], mode: str, told: dict[str, str], *, watched: bool
    ) -> tuple[subprocess.Popen[bytes], HeartbeatWatch | None]:
        """Start a process, with a pipe for its heartbeat if it may be started again."""
        if not watched:
            return self._popen(name, command, mode, told), None
        ours, its = os.pipe()
        try:
            popen = self._popen(name, command, mode, {**told, VARIABLE: str(its)}, passed=(its,))
        finally:
            os.close(its)
        return popen, HeartbeatWatch(ours, now_s=time.monotonic())

    def _popen(
        self,
        name: str,
        command: list[str],
        mode: str,
        told: dict[str, str],
        *,
        passed: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        output: IO[bytes] | None = None
        if self._log_directory is not None:
            self._log_directory.mkdir(parents=True, exist_ok=True)
            output = cast('IO[bytes]', (self._log_directory / f'{name}.log').open(mode))
            self._logs.append(output)
        return subprocess.Popen(
            [*_ending_with_parent(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output if output is not None else sys.stderr.fileno(),
            stderr=subprocess.STDOUT,
            env=self._environment | told,
            pass_fds=passed,
            start_new_session=True,
        )

    def pid(self, name: str) -> int:
        """Return the process id of a node."""
        return next(p.popen.pid for p in self._processes if p.name == name)

    def pids(self) -> dict[str, int]:
        """Return name -> process id of every running process."""
        return {p.name: p.popen.pid for p in self._processes if p.popen.poll() is None}

    def ended(self) -> tuple[str, int] | None:
        """Return (name, exit code) of a required process that has ended for good, or None.

        One that may be started again is, at once or, after too many times, when the first of them
        lies far enough back; nothing moves meanwhile, and everything else says why. One that has
        got stuck is killed first. The end of one that is not required is said once.
        """
        for process in self._processes:
            code = process.popen.poll()
            if code is None:
                self._feel_pulse(process)
                continue
            now_s = time.monotonic()
            if process.may_restart(now_s):
                self._start_again(process, now_s, code)
            elif process.restartable():
                self._mourn(
                    process.name,
                    f'was ended by signal {-code}, more than {process.restarts} times within '
                    f'{RESTART_WINDOW_S:g} s; see its log. It is started again after that time',
                )
            elif process.required:
                return process.name, code
            else:
                self._mourn(process.name, f'has ended with code {code}; it is not needed')
        return None

    def _feel_pulse(self, process: Process) -> None:
        """Kill a process that has got stuck; its end is dealt with like any other."""
        silence_s = process.heart.silence_s(time.monotonic()) if process.heart else 0.0
        if silence_s > 0.0 and process.heart is not None:
            process.heart.close()
            process.heart = None
            process.popen.kill()
            print(
                f'{process.name} has not given a sign of life for {silence_s:.1f} s; killed',
                file=sys.stderr,
            )

    def _start_again(self, process: Process, now_s: float, code: int) -> None:
        process.restarted.append(now_s)
        if process.heart is not None:
            process.heart.close()
        told = {RESTARTS_VARIABLE: str(process.restarts_within(now_s))}
        process.popen, process.heart = self._launch(
            process.name, process.command, 'ab', told, watched=True
        )
        self._mourned.discard(process.name)
        print(
            f'{process.name} was ended by signal {-code}; started again '
            f'({process.restarts} times within {RESTART_WINDOW_S:g} s at most)',
            file=sys.stderr,
        )

    def _mourn(self, name: str, text: str) -> None:
        if name not in self._mourned:
            self._mourned.add(name)
            print(f'{name} {text}', file=sys.stderr)

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
        latest_s = time.monotonic() + BRAKE_TIME_S + END_TIME_S
        self._end(leaders, BRAKE_TIME_S)
        # What the controller did not need is the others': one that is killed leaves its shared
        # memory behind.
        self._end(others, latest_s - time.monotonic())
        for process in self._processes:
            if process.heart is not None:
                process.heart.close()
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


@functools.cache
def _ending_with_parent() -> tuple[str, ...]:
    """Return what goes before a command: default signals, and SIGINT when the launcher dies.

    Both are programs of every Debian and Ubuntu, each of which becomes the command. Python code
    between fork and exec, which could do the same, can block for ever in a process with threads.

    Raises:
        ConfigError: one of them is missing.
    """
    prefix: list[str] = []
    for name, *options in _FIRST:
        program = shutil.which(name)
        if program is None:
            raise ConfigError(
                f'the program {name!r} is not in PATH; nodes that would outlive a killed launcher '
                'are not started. Install coreutils and util-linux'
            )
        prefix += [program, *options]
    return tuple(prefix)
