# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input ends before anything moves, with one message that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import policies, robots
from harness.command import BcCommand
from harness.strays import processes_in, wait_until_none
from harness.witness import Witness
import pytest
import yaml

from bc_runtime.spec import RobotConfig

BAD_INPUT = 2


@dataclass(frozen=True)
class Case:
    """One bad input: how to make the arguments, and words that the message must hold."""

    arguments: Callable[[Path, Path], list[str]]
    words: tuple[str, ...]


def model(change: Callable[[Path, Path], Path]) -> Callable[[Path, Path], list[str]]:
    return lambda folder, orbit: ['--model', str(change(folder, orbit))]


def robot(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path, Path], list[str]]:
    def arguments(folder: Path, orbit: Path) -> list[str]:
        file = robots.write(folder / 'robot.yaml', robots.changed(change))
        return ['--model', str(orbit), '--robot', str(file)]

    return arguments


def text_file(folder: Path, _orbit: Path) -> Path:
    file = folder / 'text.onnx'
    file.write_text('this is no model\n')
    return file


def truncated(folder: Path, orbit: Path) -> Path:
    file = folder / 'half.onnx'
    file.write_bytes(orbit.read_bytes()[: orbit.stat().st_size // 2])
    return file


def without_spec(folder: Path, _orbit: Path) -> Path:
    return policies.orbit(folder / 'plain.onnx', with_spec=False)


def of_another_robot(folder: Path, _orbit: Path) -> Path:
    joints = [f'axis_{k}' for k in range(len(policies.JOINTS))]
    return policies.orbit(folder / 'other.onnx', joints=joints)


CASES = {
    'no such model': Case(
        model(lambda folder, _orbit: folder / 'nowhere.onnx'), ('nowhere.onnx', 'sim_arm_act')
    ),
    'no such shipped model': Case(
        lambda _folder, _orbit: ['--model', 'sim_arm_atc'], ('sim_arm_atc', 'sim_arm_act')
    ),
    'model is a text': Case(model(text_file), ('text.onnx', 'ONNX')),
    'model is truncated': Case(model(truncated), ('half.onnx',)),
    'model has no spec': Case(model(without_spec), ('plain.onnx', 'spec', 'bc wrap')),
    'model of another robot': Case(model(of_another_robot), ('axis_0', 'joint_1')),
    'no such robot': Case(lambda _folder, _orbit: ['--robot', 'sim_amr'], ('sim_amr', 'sim_arm')),
    'robot with an unknown key': Case(
        robot(lambda r: r['joint_states'].update(max_aeg_s=0.1)), ('joint_states', 'max_aeg_s')
    ),
    'robot without a joint of the command': Case(
        robot(lambda r: r['command']['joints'].remove('joint_4')), ('command', 'joint_4')
    ),
    'robot without a joint of the policy': Case(
        robot(
            lambda r: (r['joints'].pop(3), r['command']['joints'].remove('joint_4'))
        ),
        ('joint_4',),
    ),
    'robot with a wrong unit': Case(
        robot(lambda r: r['joints'][2].update(unit='deg')), ('joints[2]', 'unit', 'deg', 'rad')
    ),
    'robot without a camera of the policy': Case(
        robot(lambda r: r['cameras'].pop('wrist')), ('wrist', 'front')
    ),
    'no such parameter file': Case(
        lambda _folder, orbit: ['--model', str(orbit), '--params-file', 'nowhere.yaml'],
        ('nowhere.yaml',),
    ),
}  # fmt: skip


@pytest.fixture
def watch(domain):
    """Watch the command topic of a domain; nothing may ever be sent there."""
    witness = Witness(RobotConfig.from_file(robots.SHIPPED), domain=domain)
    yield witness
    witness.drain()
    commands = witness.wire.commands
    witness.close()
    assert commands == []


@pytest.mark.parametrize('name', CASES)
def test_deploy_refuses(name, tmp_path, orbit, domain, watch, faults):
    command = BcCommand(
        ['deploy', *CASES[name].arguments(tmp_path, orbit)], folder=tmp_path, domain=domain
    )
    check_refusal(command, CASES[name].words)
    if name in ('model is a text', 'model is truncated'):
        faults.add(19, name, measured='refused before any process is started')


@pytest.mark.parametrize('name', ['no such model', 'model of another robot'])
def test_demo_refuses(name, tmp_path, orbit, domain, watch):
    (tmp_path / 'keep.txt').touch()
    command = BcCommand(
        ['demo', '--out', str(tmp_path / 'demo'), *CASES[name].arguments(tmp_path, orbit)],
        folder=tmp_path,
        domain=domain,
    )
    check_refusal(command, CASES[name].words)


def check_refusal(command, words):
    try:
        assert command.wait() == BAD_INPUT
        text = command.stderr
        assert text.startswith('error: ') and text.count('error: ') == 1, text
        assert 'Traceback' not in text
        missing = [word for word in words if word not in text]
        assert not missing, f'{missing} not in: {text}'
        assert command.stdout == ''
        assert processes_in(command.domain) == {}
    finally:
        command.close()


def deploy(model: Path, robot: Path, parameters: Path, *, domain: int) -> BcCommand:
    """Start a deployment that records nothing, in the folder of its parameters."""
    words = ['deploy', '--record', 'none', '--model', model, '--robot', robot]
    words += ['--params-file', parameters]
    return BcCommand([str(word) for word in words], folder=parameters.parent, domain=domain)


@pytest.mark.parametrize('what', ['camera', 'joint states'])
def test_a_topic_that_never_comes_ends_the_deployment(
    what, tmp_path, orbit, domain, watch, simulator
):
    def change(r):
        if what == 'camera':
            r['cameras']['front']['topic'] = 'nowhere/image_raw'
        else:
            r['joint_states']['topic'] = 'nowhere/joint_states'

    file = robots.write(tmp_path / 'robot.yaml', robots.changed(change))
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text(
        yaml.safe_dump({'/**/observation': {'ros__parameters': {'startup_timeout_s': 1.0}}})
    )
    simulator()
    command = deploy(orbit, file, parameters, domain=domain)
    try:
        watch.until(lambda: not command.attend(), 'the end of the deployment')
        assert command.wait() == 1
        text = command.stderr
        assert f'topic /nowhere/{"image_raw" if what == "camera" else "joint_states"}' in text
        assert 'startup_timeout_s' in text
        assert (
            'observation has ended with code 1; its last lines say why; stopping the others'
            in text
        )
        assert 'Traceback' not in text
    finally:
        command.close()
    assert wait_until_none(domain, timeout_s=2.0, ignore='sim_node') == {}


def test_a_misspelt_parameter_ends_the_deployment(tmp_path, gentle, orbit, domain, watch):
    parameters = tmp_path / 'parameters.yaml'
    section = {'ros__parameters': {'on_jmp': 'reject'}}
    parameters.write_text(yaml.safe_dump({'/**/controller': section}))
    command = deploy(orbit, gentle, parameters, domain=domain)
    try:
        watch.until(lambda: not command.attend(), 'the end of the deployment')
        assert command.wait() == 1
        assert 'controller has no parameter on_jmp' in command.stderr
        assert "Did you mean 'on_jump'?" in command.stderr
        assert 'Traceback' not in command.stderr
    finally:
        command.close()
