# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What every test shares: isolation of ROS graphs from each other and from the network.

A test that uses ROS takes the fixture `ros_domain` (or carries the mark `ros`). It gets a
ROS_DOMAIN_ID of its own, so that two test runs on one machine never hear each other, and it is
skipped with a reason where ROS or the built messages are missing. `BC_REQUIRE_ROS=1`, which
`make test` sets, turns that skip into a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
import fcntl
import functools
import importlib
import os
from pathlib import Path
import tempfile
from typing import Any

from hypothesis import settings
import pytest

# No test asserts on wall time, and a busy machine is no counterexample.
settings.register_profile('no-deadline', deadline=None)
settings.load_profile('no-deadline')

ROOT = Path(__file__).resolve().parents[1]
# Above 101 the ports of a domain lie where Linux takes ephemeral ports from.
DOMAINS = range(1, 101)
# Leaf modules: `bc_msgs` and `launch` are also folders of this repository, which Python would
# import as empty namespace packages.
ROS_PROBES = ('rclpy', 'bc_msgs.msg._action_chunk')


@functools.cache
def missing_ros() -> str | None:
    """Say why ROS tests cannot run here, or None if they can."""
    for name in ROS_PROBES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            return f'{name} cannot be imported ({error}). Run: make build, then scripts/run pytest'
    return None


def allocate_domain() -> tuple[int, int]:
    """Reserve a ROS domain id on this machine.

    Returns:
        The id and the file descriptor whose lock holds it; closing it gives the id back. The lock
        dies with the process, so a killed test run leaks nothing.
    """
    folder = Path(tempfile.gettempdir()) / 'bc_runtime_ros_domains'
    folder.mkdir(exist_ok=True)
    # Start somewhere else in each process: a participant that was just killed may still be
    # announced in the lowest domains.
    first = os.getpid() % len(DOMAINS)
    for index in range(len(DOMAINS)):
        domain = DOMAINS[(first + index) % len(DOMAINS)]
        descriptor = os.open(folder / f'{domain}.lock', os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return domain, descriptor
    message = f'all ROS domain ids {DOMAINS.start}-{DOMAINS.stop - 1} are in use, see {folder}'
    raise RuntimeError(message)


@pytest.fixture(scope='session', autouse=True)
def isolated_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep discovery on this machine and logs out of the home folder, for all child processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('ROS_LOG_DIR', str(tmp_path_factory.mktemp('ros_log')))
        names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
        if not any(os.environ.get(name) for name in names):
            patch.setenv(names[0], str(ROOT / 'config' / 'fastdds_profile.xml'))
        yield


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Give the test a ROS_DOMAIN_ID that no other test on this machine has."""
    domain, descriptor = allocate_domain()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    yield domain
    os.close(descriptor)


@pytest.fixture(scope='module')
def module_domain() -> Iterator[int]:
    """Give the module one ROS_DOMAIN_ID; hand it to child processes in their environment."""
    domain, descriptor = allocate_domain()
    yield domain
    os.close(descriptor)


@pytest.fixture(scope='session')
def repository() -> Path:
    """Return the root folder of the repository."""
    return ROOT


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip (or fail, under BC_REQUIRE_ROS=1) tests that need ROS where there is none."""
    needs_ros = item.get_closest_marker('ros') or 'ros_domain' in getattr(item, 'fixturenames', ())
    if not needs_ros:
        return
    reason = missing_ros()
    if reason is None:
        return
    if os.environ.get('BC_REQUIRE_ROS') == '1':
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    """Where nobody watches, say at once why a test failed: a run may not reach its summary."""
    worker = hasattr(config, 'workerinput')  # pytest-xdist: what a worker says is not shown
    if os.environ.get('CI') and not worker:
        config.pluginmanager.register(_SayAtOnce(config), 'say-at-once')


class _SayAtOnce:
    """One line per failure or retry, as soon as it is known."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome not in ('failed', 'rerun'):
            return
        terminal = self._config.pluginmanager.get_plugin('terminalreporter')
        line = f'{report.nodeid} {report.when} {report.outcome}: {_why(report)[:600]}'
        terminal.write_line(f'\n{line.replace(chr(10), " | ")}')


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name every test that did not pass at its first attempt: a retry must not hide it.

    A process test also tries again by itself where the machine starved its nodes; it says so in
    `user_properties` as `void`.
    """
    stats = terminalreporter.stats
    lines = [f'{report.nodeid}: {_why(report)[:300]}' for report in stats.get('rerun', ())]
    for outcome in ('passed', 'failed', 'error'):
        for report in stats.get(outcome, ()):
            whys = [
                str(why) for name, why in getattr(report, 'user_properties', ()) if name == 'void'
            ]
            lines += [f'{report.nodeid}: void, {why[:300]}' for why in whys]
    if not lines:
        return
    tests = {line.partition(': ')[0] for line in lines}
    terminalreporter.section('attempts that did not count')
    for line in lines:
        terminalreporter.write_line(line.replace('\n', ' | '))
    terminalreporter.write_line(f'needed a retry: {len(tests)} tests: {", ".join(sorted(tests))}')


def _why(report: pytest.TestReport) -> str:
    """Return why an attempt failed, in one message."""
    crash = getattr(report.longrepr, 'reprcrash', None)
    return str(crash.message if crash is not None else report.longrepr)
