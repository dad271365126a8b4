# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with real node processes.

A deployment takes some seconds to start. Faults that can be undone share one (`live`), which also
proves that the deployment recovers from each of them; whoever kills a node starts its own
(`deploy`). Two deployments at a time are too many for two cores: those that share come first, and
theirs ends before the first of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import gc
import os
from pathlib import Path
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(FOLDER))  # for `harness`

if TYPE_CHECKING:
    from harness.command import BcCommand
    from harness.deployment import DeploymentUnderTest
    from harness.table import FaultTable
    from harness.witness import Witness


#: Rows of the fault matrix that `make test` runs; `make faults` runs all of them.
FAST_ROWS = ('row_01_', 'row_12_', 'row_22_', 'row_24_chunks', 'row_28_', 'row_34_', 'row_39_')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here runs real processes; most rows take their time, or a quiet machine."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.ros)
        if item.path.name.startswith('test_faults_') and not any(
            f'test_{row}' in item.name for row in FAST_ROWS
        ):
            item.add_marker(pytest.mark.faults)
    here = [index for index, item in enumerate(items) if FOLDER in item.path.parents]
    sharing_first = sorted((items[index] for index in here), key=lambda item: not _shares(item))
    for index, item in zip(here, sharing_first, strict=True):
        items[index] = item


def _shares(item: pytest.Item) -> bool:
    return 'live' in getattr(item, 'fixturenames', ())


@pytest.fixture(scope='session', autouse=True)
def _favoured() -> None:
    """Let the witness keep up with the nodes: a late witness sees the past, not a late robot.

    It also holds the human's button. A full collection of all that it keeps takes longer than a
    button may be silent, and there is no garbage in it.
    """
    from harness.strays import favour

    favour(os.getpid(), niceness=-5)
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 1_000_000)


@pytest.fixture
def domain() -> Iterator[int]:
    """Give the test a ROS domain of its own, without changing this process's environment."""
    from harness.domains import allocate_domain

    number, descriptor = allocate_domain()
    yield number
    os.close(descriptor)


@pytest.fixture(scope='session')
def orbit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a policy that moves for ever."""
    from harness import policies

    return policies.orbit(tmp_path_factory.mktemp('policy') / 'orbit.onnx')


@pytest.fixture(scope='session')
def gentle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the YAML of a robot whose braking takes long enough to be seen."""
    from harness import robots

    return robots.write(tmp_path_factory.mktemp('robot') / 'gentle.yaml', robots.gentle())


@pytest.fixture(scope='session')
def faults() -> Iterator[FaultTable]:
    """Collect what was measured, and write it down at the end."""
    from harness.table import FaultTable

    table = FaultTable()
    yield table
    if table.rows:
        table.write(ROOT / 'out' / 'faults.json')


@pytest.fixture
def deploy(
    tmp_path: Path, domain: int, gentle: Path, orbit: Path
) -> Iterator[Callable[..., DeploymentUnderTest]]:
    """Start a deployment of the test's own."""
    from harness.deployment import DeploymentUnderTest

    started: list[DeploymentUnderTest] = []

    def make(**options: Any) -> DeploymentUnderTest:
        fields = {'robot': gentle, 'model': orbit, **options}
        one = DeploymentUnderTest(tmp_path / 'deployment', domain=domain, **fields).start()
        started.append(one)
        return one

    yield make
    for one in started:
        one.stop()


@pytest.fixture
def simulator(tmp_path: Path, domain: int) -> Iterator[Callable[[], None]]:
    """Start the simulated robot alone."""
    from harness.deployment import favour, sim_command

    from bc_runtime.cli.processes import ProcessGroup

    group = ProcessGroup(
        log_directory=tmp_path / 'simulator', environment={'ROS_DOMAIN_ID': str(domain)}
    )

    def start() -> None:
        group.start_command('sim_robot', sim_command())
        favour(group.pid('sim_robot'))

    yield start
    group.stop()


@pytest.fixture
def deployed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    gentle: Path,
    orbit: Path,
    domain: int,
    simulator: Callable[[], None],
) -> Iterator[tuple[BcCommand, Witness]]:
    """Run `bc deploy` until its policy moves the robot; a parameter adds arguments."""
    from harness.command import BcCommand, start
    from harness.witness import Witness

    from bc_runtime.spec import RobotConfig

    simulator()
    more = list(getattr(request, 'param', ('--record', 'none')))
    command = BcCommand(
        ['deploy', '--model', str(orbit), '--robot', str(gentle), *more],
        folder=tmp_path / 'deploy',
        domain=domain,
    )
    witness = Witness(RobotConfig.from_file(gentle), domain=domain, alive=command.check_alive)
    try:
        start(witness)
        yield command, witness
    finally:
        command.close()
        witness.close()


class _Shared:
    """The deployment that tests share; replaced when a test leaves it broken."""

    def __init__(self, make: Callable[[], DeploymentUnderTest]) -> None:
        self._make = make
        self._deployment: DeploymentUnderTest | None = None

    def healthy(self) -> DeploymentUnderTest:
        if self._deployment is None:
            self._deployment = self._make().start()
        self._deployment.calm()
        return self._deployment

    def drop(self) -> None:
        if self._deployment is not None:
            deployment, self._deployment = self._deployment, None
            deployment.stop()


@pytest.fixture(scope='session')
def _all_shared() -> list[_Shared]:
    """Know what tests share, without making it."""
    return []


@pytest.fixture(scope='session')
def _shared(
    tmp_path_factory: pytest.TempPathFactory,
    gentle: Path,
    orbit: Path,
    _all_shared: list[_Shared],
) -> Iterator[_Shared]:
    from harness.deployment import DeploymentUnderTest
    from harness.domains import allocate_domain

    number, descriptor = allocate_domain()

    def make() -> DeploymentUnderTest:
        folder = tmp_path_factory.mktemp('live')
        return DeploymentUnderTest(folder, domain=number, robot=gentle, model=orbit)

    shared = _Shared(make)
    _all_shared.append(shared)
    yield shared
    shared.drop()
    os.close(descriptor)


@pytest.fixture(autouse=True)
def _alone(request: pytest.FixtureRequest, _all_shared: list[_Shared]) -> None:
    """End the shared deployment before the first test that does not use it."""
    if not _shares(request.node):
        for shared in _all_shared:
            shared.drop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let fixtures know whether the test failed."""
    report = yield
    if report.when == 'call':
        item.stash[_FAILED] = report.failed
        report.user_properties += [('void', why) for why in getattr(item.obj, 'void', ())]
    row = re.match(r'test_row_(\d+)_', item.name)
    table = getattr(item, 'funcargs', {}).get('faults')
    if row and report.failed and table is not None:
        text = str(call.excinfo.value) if call.excinfo else 'failed'
        table.fail(int(row[1]), item.name, text.splitlines()[0][:300])
    return report


_FAILED = pytest.StashKey[bool]()


@pytest.fixture
def live(request: pytest.FixtureRequest, _shared: _Shared) -> Iterator[DeploymentUnderTest]:
    """Give a deployment in READY that other tests use too; undo every fault afterwards."""
    yield _shared.healthy()
    if request.node.stash.get(_FAILED, True):
        _shared.drop()


@pytest.fixture
def moving(live: DeploymentUnderTest) -> DeploymentUnderTest:
    """Give the shared deployment while its policy moves the robot."""
    return live.auto()
