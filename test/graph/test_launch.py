# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch bc_runtime deploy.launch.py` with the real launch, where there is one.

Regressions pinned: an undeclared argument was taken in silence and the robot moved; a launch that
was killed left its nodes in AUTO; a wrong model left a deployment without a policy; every end
looked like a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import importlib.util
from pathlib import Path
import signal

from harness.command import BcCommand, start
from harness.strays import processes_in, wait_until_none
from harness.wire import NS
from harness.witness import Witness
import pytest

from bc_runtime.spec import RobotConfig

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / 'launch' / 'deploy.launch.py'

if importlib.util.find_spec('launch.actions') is None:  # `launch` is also a folder here
    pytest.skip(
        'the Python package `launch` of ROS 2 is missing; it is not among the wheels',
        allow_module_level=True,
    )

#: What `ros2 launch FILE NAME:=VALUE ...` does.
PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
file, *given = sys.argv[1:]
service = LaunchService(argv=given)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    AnyLaunchDescriptionSource(file),
    launch_arguments=[each.split(':=', 1) for each in given],
)]))
sys.exit(service.run())
"""

#: A user's launch file with an argument of its own.
OUTER = f"""
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument('rviz', default_value='false'),
        DeclareLaunchArgument('which', default_value='/no/such.onnx'),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource({str(FILE)!r}),
            launch_arguments={{GIVEN: LaunchConfiguration('which')}}.items(),
        ),
    ])
"""

Launch = Callable[..., BcCommand]


@pytest.fixture
def launch(tmp_path: Path, domain: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    started: list[BcCommand] = []

    def make(given: Sequence[str], *, file: Path = FILE) -> BcCommand:
        command = BcCommand(
            [str(file), *given],
            folder=tmp_path / 'launch',
            domain=domain,
            program=('-c', PROGRAM),
        )
        started.append(command)
        return command

    yield make
    for command in started:
        command.close()
    assert not wait_until_none(domain, timeout_s=10.0, ignore='sim_node')


def said(command: BcCommand) -> str:
    return command.stdout + command.stderr


@pytest.mark.parametrize('given', ['dryrun:=true', 'dry-run:=true', 'shadow:=x', 'rviz:=true'])
def test_an_undeclared_argument_is_refused_by_name(launch: Launch, given: str) -> None:
    command = launch([given])
    assert command.wait() == 1
    name = given.partition(':=')[0]
    assert f'unknown launch argument {name};' in said(command)
    assert ("Did you mean 'dry_run'?" in said(command)) == name.startswith('dry')
    assert 'process started' not in said(command)


@pytest.mark.parametrize(
    ('given', 'words'), [('mode1', 'unknown launch argument mode1;'), ('model', '/no/such.onnx')]
)
def test_what_a_file_that_includes_this_one_gives_is_refused_as_well(
    launch: Launch, tmp_path: Path, given: str, words: str
) -> None:
    file = tmp_path / 'robot.launch.py'
    file.write_text(OUTER.replace('GIVEN', repr(given)))
    command = launch(['rviz:=true'], file=file)
    assert command.wait() == 1
    assert words in said(command)
    assert 'argument rviz' not in said(command), 'that one is the outer file’s own'


def test_a_wrong_model_ends_it_with_one_line(launch: Launch) -> None:
    command = launch(['model:=/no/such.onnx', 'record:=none'])
    assert command.wait() == 1
    lines = [line for line in said(command).splitlines() if '/no/such.onnx' in line]
    assert "error: model '/no/such.onnx': there is no such file" in lines[0]
    assert 'started again' not in said(command)


@pytest.fixture
def moving(
    launch: Launch, simulator: Callable[[], None], gentle: Path, orbit: Path, domain: int
) -> Iterator[tuple[BcCommand, Witness]]:
    """Launch a deployment and start it."""
    simulator()
    command = launch([f'model:={orbit}', f'robot:={gentle}', 'record:=none'])
    witness = Witness(RobotConfig.from_file(gentle), domain=domain, alive=command.check_alive)
    start(witness)
    yield command, witness
    witness.close()


def ends_at_rest(w: Witness, domain: int) -> None:
    w.watch_alone()
    left = lambda: {  # noqa: E731
        pid for pid, line in processes_in(domain).items() if 'sim_node' not in line
    }
    w.until(lambda: not left(), 'the end of every node')
    w.drain()
    last = w.wire.commands[-1]
    assert abs(last.velocities[0]).max() < 1e-9, 'the last command is at rest'
    assert w.wire.report().violations == []


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT])
def test_nodes_end_with_a_launch_that_is_killed_and_brake_first(
    moving: tuple[BcCommand, Witness], domain: int, number: signal.Signals
) -> None:
    command, w = moving
    at_ns = command.signal(number)
    assert command.wait() != 0
    ends_at_rest(w, domain)
    assert (w.now_ns() - at_ns) / NS < 30.0


def test_ctrl_c_ends_it_cleanly(moving: tuple[BcCommand, Witness], domain: int) -> None:
    command, w = moving
    command.signal(signal.SIGINT)
    command.signal(signal.SIGINT)
    w.watch_alone()
    assert command.wait() == 0, said(command)
    ends_at_rest(w, domain)
    for words in ('Traceback', 'has died', 'Caught exception', 'Cannot shutdown'):
        assert words not in said(command)


def test_a_node_that_fails_ends_it_with_an_exit_code(
    moving: tuple[BcCommand, Witness], domain: int
) -> None:
    command, w = moving
    command.node_signal('observation', signal.SIGKILL)
    w.watch_alone()
    assert command.wait() == 1
    ends_at_rest(w, domain)
    assert 'observation was ended by signal 9; stopping the others' in said(command)
    assert 'Cannot shutdown' not in said(command)


#: What is there when it is told to end; a launch that is told before has started nothing.
PHASES = {
    'the supervisor imports': lambda line: 'python' in line.split()[0],
    'nodes import': lambda line: '__node:=inference' in line,
}


@pytest.mark.parametrize('phase', PHASES)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_may_end_while_it_starts(
    launch: Launch, domain: int, phase: str, number: signal.Signals
) -> None:
    command = launch(['record:=none'])
    while not any(' -c ' not in line and PHASES[phase](line)
                  for line in processes_in(domain).values()):  # fmt: skip
        command.check_alive()
    command.signal(number)
    assert (command.wait() == 0) == (number == signal.SIGINT), said(command)
    assert not wait_until_none(domain, timeout_s=30.0)
    assert 'Traceback' not in said(command)
    assert 'has died' not in said(command)
