# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Run one node as one process: signals, executor, clean end.

rclpy's own signal handlers invalidate the context before a node can say anything, so that no last
command could be sent (ros2/rclpy#1287). Here the process owns its signals: the first SIGINT or
SIGTERM asks the node to come to rest while it still spins; then everything is closed in order and
the exit code says how it went. A second signal after a second of grace ends the process at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any, Protocol

import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from bc_runtime.parent import parent_has_died, release_signals, signal_waits
from bc_runtime.resources import require_log_folder, share_directory
from bc_runtime.ros.dead_ports import shun_dead_ports
from bc_runtime.spec.errors import BcError

#: Longest time that a node may take to come to rest after a signal, unless it says another [s].
STOP_TIMEOUT_S = 3.0
#: A second signal within this time is the same wish (a terminal and a launcher both send one) [s].
GRACE_S = 1.0

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_IMPATIENT = 130


class Stoppable(Protocol):
    """What `run_node` asks of a node that needs time to stop."""

    exit_code: int

    def begin(self) -> None:
        """Start working; called once when the executor spins."""

    def finished(self) -> bool:
        """Return whether the node wants to end by itself."""

    def request_stop(self) -> None:
        """Begin to come to rest."""

    def at_rest(self) -> bool:
        """Return whether the process may end now."""

    def make_way(self) -> None:
        """Wait, between two messages, for what must not wait for them."""


def tune_memory() -> None:
    """Keep image-sized buffers on the heap instead of mapping them anew for each message.

    Without it glibc maps and unmaps 0.9 MB per camera image: about 2 ms of system time each.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'mallopt'):
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 256 << 20)
        libc.mallopt(m_trim_threshold, 1 << 30)


def use_dds_profile() -> None:
    """Give Fast DDS room for images in shared memory, unless the user chose a profile."""
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    if any(os.environ.get(name) for name in names):
        return
    profile = share_directory() / 'config' / 'fastdds_profile.xml'
    if profile.is_file():
        name = names[1] if os.environ.get('ROS_DISTRO') in ('humble', 'jazzy') else names[0]
        os.environ[name] = str(profile)


def make_executor() -> Executor:
    """Return the fastest executor that this rclpy has."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


class _Signals:
    """SIGINT and SIGTERM set an event; impatience after the grace period ends the process.

    While the interpreter itself ends they are ignored: Python would restore their default, of
    which a process that has ended well dies.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._first = 0.0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    @staticmethod
    def ignore() -> None:
        """Have no more to do with signals; nothing is left to be ended in order."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, _number: int, _frame: Any) -> None:
        now = time.monotonic()
        if not self.stop.is_set():
            self._first = now
            self.stop.set()
        elif now - self._first > GRACE_S:
            os._exit(EXIT_IMPATIENT)


def run_node(factory: Callable[[], Node], *, args: Sequence[str] | None = None) -> int:
    """Run the node that `factory` makes until it or a signal ends it; return the exit code."""
    tune_memory()
    use_dds_profile()
    signals = _Signals()
    try:
        if signals.stop.is_set() or signal_waits() or parent_has_died():
            return EXIT_OK
        return _run(factory, args, signals.stop)
    finally:
        signals.ignore()


def _run(factory: Callable[[], Node], args: Sequence[str] | None, stop: threading.Event) -> int:
    try:
        require_log_folder()
    except BcError as error:
        print(f'error: {error}', file=sys.stderr)
        return EXIT_BAD_INPUT
    rclpy.init(
        args=list(args) if args is not None else None,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    executor = make_executor()
    try:
        with shun_dead_ports(rclpy.get_default_context().get_domain_id()):  # the first node's
            node = factory()
    except BcError as error:
        print(f'error: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return EXIT_BAD_INPUT
    executor.add_node(node)
    try:
        code = _spin(node, executor, stop)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return code


def _spin(node: Any, executor: Executor, stop: threading.Event) -> int:
    if hasattr(node, 'begin'):
        node.begin()
    # Whoever starts this process knows by this that it has begun, and may have to brake.
    release_signals()
    ends_itself = hasattr(node, 'finished')
    make_way = getattr(node, 'make_way', lambda: None)
    while not stop.is_set() and not (ends_itself and node.finished()):
        make_way()
        executor.spin_once(timeout_sec=0.1)
    if hasattr(node, 'request_stop'):
        node.request_stop()
        deadline = time.monotonic() + getattr(node, 'stop_timeout_s', STOP_TIMEOUT_S)
        while not node.at_rest() and time.monotonic() < deadline:
            make_way()
            executor.spin_once(timeout_sec=0.02)
    return int(getattr(node, 'exit_code', EXIT_OK))
