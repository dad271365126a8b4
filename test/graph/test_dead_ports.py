# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A process that takes the place of a killed one hears everybody who was there before."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Bool

from bc_runtime.ros.dead_ports import FOLDER, bury_unborn_ports, shun_dead_ports

LISTENER = """
from rclpy.node import Node
from std_msgs.msg import Bool

from bc_runtime.ros.runtime import run_node


class Listener(Node):
    def __init__(self):
        super().__init__('listener')
        self.create_subscription(Bool, 'spoken', lambda _: print('heard', flush=True), 10)


run_node(Listener)
"""


@pytest.fixture
def speaker(domain):
    """Return what says something, once per call, as long as the test lives."""
    context = Context()
    rclpy.init(context=context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
    node = Node('speaker', context=context)
    publisher = node.create_publisher(Bool, 'spoken', 10)
    yield lambda: publisher.publish(Bool(data=True))
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def listen(domain):
    return subprocess.Popen(
        [sys.executable, '-c', LISTENER],
        stdout=subprocess.PIPE,
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
    )


def until_heard(listener, speaker):
    os.set_blocking(listener.stdout.fileno(), False)
    deadline = time.monotonic() + 60.0
    while not listener.stdout.read():
        assert listener.poll() is None and time.monotonic() < deadline, 'it hears nothing'
        speaker()
        time.sleep(0.02)


def port_of(pid):
    """Return the shared-memory port that a process owns: it has the lock file open."""
    for descriptor in Path(f'/proc/{pid}/fd').iterdir():
        match = re.search(r'_port(\d+)_el', os.readlink(descriptor))
        if match:
            return int(match[1])
    return None


def test_a_new_process_leaves_the_port_of_a_killed_one_alone(domain, speaker):
    """Regressions pinned: who sent to the dead process went on sending to its memory.

    For one to three seconds nothing came to the new one, and once in three runs of the fault
    matrix nothing at all.
    """
    first = listen(domain)
    until_heard(first, speaker)
    port = port_of(first.pid)
    if port is None:
        first.kill()
        pytest.skip('no shared memory between processes here')
    with shun_dead_ports(domain) as dead:
        assert dead == [], 'its owner lives'
    first.send_signal(signal.SIGKILL)
    first.wait()
    with shun_dead_ports(domain) as dead:
        assert dead == [port]
    second = listen(domain)
    try:
        until_heard(second, speaker)
        assert port_of(second.pid) not in (None, port)
    finally:
        second.terminate()
        assert second.wait(timeout=30.0) == 0
    with shun_dead_ports(domain) as dead:
        assert dead == [port], 'the lock was given back, and nobody has taken the port'


@pytest.fixture
def port_file():
    """Return a port of domain 231, which no test uses, with the segment and the lock file."""
    segment = FOLDER / 'fastdds_port65161'
    lock = FOLDER / 'fastdds_port65161_el'
    segment.write_bytes(bytes(4096))
    lock.touch()
    yield segment, lock
    segment.unlink(missing_ok=True)
    lock.unlink(missing_ok=True)


def test_a_dead_port_that_nobody_has_mapped_is_free(port_file):
    """Otherwise the numbers would be used up on a machine on which processes are killed."""
    segment, lock = port_file
    segment.write_bytes((2).to_bytes(4, 'little') + bytes(4092))  # it is ready
    with shun_dead_ports(231) as dead:
        assert dead == []
    with segment.open('r+b') as file, mmap.mmap(file.fileno(), 4096):
        with shun_dead_ports(231) as dead:
            assert dead == [65161]
            other = os.open(lock, os.O_RDWR)
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(other)
        with shun_dead_ports(230) as dead:
            assert dead == [], 'another domain'


def test_a_machine_without_shared_memory_has_no_dead_ports(tmp_path):
    with shun_dead_ports(0, folder=tmp_path / 'nowhere') as dead:
        assert dead == []


@pytest.mark.parametrize('state', [0, 1])
def test_who_waits_for_a_port_that_is_never_ready_is_freed(port_file, state):
    """Regressions pinned: a soak stood still, its sender waiting in Fast DDS for nine minutes.

    The process that made the port had been killed at it.
    """
    segment, _ = port_file
    segment.write_bytes(state.to_bytes(4, 'little') + bytes(4092))
    assert bury_unborn_ports(231) == [], 'its maker may be at it'
    os.utime(segment, (time.time() - 60.0, time.time() - 60.0))
    with segment.open('r+b') as file, mmap.mmap(file.fileno(), 4096) as waiting:
        assert bury_unborn_ports(230) == [], 'another domain'
        assert bury_unborn_ports(231) == [65161]
        assert waiting[:4] == (3).to_bytes(4, 'little'), 'who waits sees that it is corrupted'
    assert not segment.exists(), 'the next one makes it anew'


def test_a_sender_is_freed_from_a_port_that_is_never_ready(domain, speaker):
    """The real thing: Fast DDS waits in `publish`, and goes on once a node starts elsewhere."""
    listener = listen(domain)
    try:
        until_heard(listener, speaker)
        port = port_of(listener.pid)
    finally:
        listener.kill()
        listener.wait()
    if port is None:
        pytest.skip('no shared memory between processes here')
    segment = FOLDER / f'fastdds_port{port}'
    segment.unlink()
    segment.write_bytes(bytes(52400))
    os.utime(segment, (time.time() - 60.0, time.time() - 60.0))
    assert bury_unborn_ports(domain) == [port]
    second = listen(domain)
    try:
        until_heard(second, speaker)
    finally:
        second.kill()
        second.wait()


def test_ports_that_are_ready_are_left_alone(port_file):
    segment, _ = port_file
    segment.write_bytes((2).to_bytes(4, 'little') + bytes(4092))
    os.utime(segment, (0.0, 0.0))
    assert bury_unborn_ports(231) == []
    assert segment.exists()
