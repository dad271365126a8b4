# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Start the processes of a deployment, watch them, and bring them to rest in the right order.

The one place that supervises processes: `ros2 launch` starts `bc deploy`, which comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import IO, cast

from bc_runtime import parent
from bc_runtime.cli.shared_memory import sweep_dead_segments
from bc_runtime.deployment import (
    BRAKE_MARGIN_S,
    END_TIME_S,
    RESTART_WINDOW_S,
    RESTARTS_VARIABLE,
    NodeDescription,
    ParameterValue,
)
from bc_runtime.heartbeat import VARIABLE as HEARTBEAT_VARIABLE
from bc_runtime.heartbeat import HeartbeatWatch
from bc_runtime.live_settings import VARIABLE as SETTINGS_VARIABLE
from bc_runtime.live_settings import KeptSettings


@dataclass(slots=True)
class Process:
    """One running node.

    Attributes:
        hold: Signals wait until it is ready for them (`bc_runtime.parent`).
        stop_s: Time to end after SIGINT [s].
        restarted: When it was started again [s, monotonic].
        heart: How its heart beats; None if nobody listens.
        starting: It was killed because it did not even begin; nothing failed.
        settings: What was set while it ran; None if it is never started again.
    """

    name: str
    command: list[str]
    required: bool = True
    restarts: int = 0
    hold: bool = False
    stop_s: float = END_TIME_S
    restarted: list[float] = field(default_factory=list)
    heart: HeartbeatWatch | None = None
    settings: KeptSettings | None = None
    starting: bool = False
    popen: subprocess.Popen[bytes] = field(init=False)

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
            self._start(
                Process(
                    node.name,
                    command_line(node),
                    required=node.required,
                    restarts=node.restarts,
                    hold=True,
                    stop_s=node.stop_s,
                )
            )

    def start_command(
        self, name: str, command: list[str], *, required: bool = True, restarts: int = 0
    ) -> None:
        """Start one process in a session of its own, so that only we send it signals."""
        self._start(Process(name, command, required=required, restarts=restarts))

    def _start(self, process: Process) -> None:
        if process.restarts > 0:
            process.settings = KeptSettings()
        self._launch(process, 'wb', {})
        self._processes.append(process)

    def _launch(self, process: Process, mode: str, told: dict[str, str]) -> None:
        """Start a process; one that may be started again with a pipe for its heartbeat."""
        if process.settings is None:
            process.popen = self._popen(process, mode, told, passed=())
            return
        ours, its = os.pipe()
        told = {
            **told,
            HEARTBEAT_VARIABLE: str(its),
            SETTINGS_VARIABLE: str(process.settings.descriptor),
        }
        try:
            process.popen = self._popen(
                process, mode, told, passed=(its, process.settings.descriptor)
            )
        finally:
            os.close(its)
        process.heart = HeartbeatWatch(ours, now_s=time.monotonic())

    def _popen(
        self,
        process: Process,
        mode: str,
        told: dict[str, str],
        *,
        passed: tuple[int, ...],
    ) -> subprocess.Popen[bytes]:
        output: IO[bytes] | None = None
        if self._log_directory is not None:
            self._log_directory.mkdir(parents=True, exist_ok=True)
            output = cast('IO[bytes]', (self._log_directory / f'{process.name}.log').open(mode))
            self._logs.append(output)
        return subprocess.Popen(
            [*parent.ending_with_parent(hold=process.hold), *process.command],
            stdin=subprocess.DEVNULL,
            stdout=output if output is not None else sys.stderr.fileno(),
            stderr=subprocess.STDOUT,
            env={**self._environment, parent.VARIABLE: str(os.getpid()), **told},
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
        # What was set while it ran counts more than what it is started with; it reads it itself.
        kept = process.settings.read() if process.settings is not None else {}
        self._launch(process, 'ab', told)
        self._mourned.discard(process.name)
        print(
            f'{process.name} was ended by signal {-code}; started again '
            f'({process.restarts} times within {RESTART_WINDOW_S:g} s at most)'
            + (f', with what was set: {kept}' if kept else ''),
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

    def stop(self, *, first: str = 'controller') -> list[str]:
        """Bring everything to rest: `first` brakes while the others still run, then they end.

        Returns:
            What went wrong, one line each.
        """
        leaders = [p for p in self._processes if p.name == first]
        others = [p for p in self._processes if p.name != first]
        running = [p for p in self._processes if p.popen.poll() is None]
        started_s = time.monotonic()
        self._end(leaders, max((p.stop_s for p in leaders), default=0.0))
        # What the controller did not need is the others': one that is killed leaves its shared
        # memory behind.
        latest_s = started_s + BRAKE_MARGIN_S + END_TIME_S
        self._end(others, max(END_TIME_S, latest_s - time.monotonic()))
        problems = [
            f'{p.name} {_how_it_ended(p)}'
            for p in running
            if p.popen.returncode != 0 and not p.starting
        ]
        for process in self._processes:
            for each in (process.heart, process.settings):
                if each is not None:
                    each.close()
            process.settings = None
        for log in self._logs:
            log.close()
        self._logs.clear()
        return problems

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
                process.starting = process.hold and parent.holds_signals(process.popen.pid)
                process.popen.kill()
                process.popen.wait()


def _how_it_ended(process: Process) -> str:
    code = process.popen.returncode
    if code == -signal.SIGKILL:
        return f'did not end within {process.stop_s:g} s and was killed'
    return f'was ended by signal {-code}' if code < 0 else f'ended with code {code}'
