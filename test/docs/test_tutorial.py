# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The tutorial's files fit together, and its commands do what it says."""

from __future__ import annotations

from pathlib import Path
import re
import shlex

import pytest

from bc_runtime.binding import check_binding
from bc_runtime.cli.main import main
from bc_runtime.resources import robot_file
from bc_runtime.spec import PolicySpec, RobotConfig

onnx = pytest.importorskip('onnx')

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'tutorials' / 'first_robot.md'


def blocks(language: str) -> list[str]:
    found = re.findall(r'^```(\w*)\n(.*?)^```', PAGE.read_text('utf-8'), re.DOTALL | re.MULTILINE)
    return [text for kind, text in found if kind == language]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with the tutorial's two YAML files and a third-party model, and go there."""
    robot, spec = blocks('yaml')
    (tmp_path / 'my_arm.yaml').write_text(robot, encoding='utf-8')
    (tmp_path / 'pick.yaml').write_text(spec, encoding='utf-8')
    write_model(PolicySpec.from_yaml_file(tmp_path / 'pick.yaml'), tmp_path / 'third_party.onnx')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_model(spec: PolicySpec, path: Path) -> None:
    """Write a model with the inputs of a spec that repeats the state."""
    from onnx import TensorProto, helper

    types = {'float32': TensorProto.FLOAT, 'uint8': TensorProto.UINT8}
    inputs = [helper.make_tensor_value_info(i.name, types[i.dtype], i.shape) for i in spec.inputs]
    shape = [1, spec.chunk_size, spec.action_dim]
    graph = helper.make_graph(
        [
            helper.make_node('Unsqueeze', ['state', 'axis'], ['row']),
            helper.make_node('Expand', ['row', 'shape'], ['action']),
        ],
        'hold',
        inputs,
        [helper.make_tensor_value_info('action', TensorProto.FLOAT, shape)],
        [
            helper.make_tensor('axis', TensorProto.INT64, [1], [1]),
            helper.make_tensor('shape', TensorProto.INT64, [3], shape),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 9
    onnx.save(model, str(path))


def commands(*verbs: str) -> list[list[str]]:
    lines = [line for block in blocks('bash') for line in block.splitlines()]
    words = [shlex.split(line.removeprefix('scripts/run ')) for line in lines]
    return [w[1:] for w in words if w[:1] == ['bc'] and w[1] in verbs]


def test_wrap_inspect_and_check_do_what_the_page_shows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wrap,), (inspect,), (check,) = commands('wrap'), commands('inspect'), commands('check')
    assert main(wrap) == 0
    assert main([*inspect, '--runs', '3']) == 0
    assert 'self-test' in capsys.readouterr().out
    assert main(check) == 0
    printed = capsys.readouterr().out
    shown = next(text for text in blocks('') if 'they fit' in text)
    policy_id = re.compile(r'\b[0-9a-f]{12}\b')
    assert policy_id.sub('ID', printed).strip() == policy_id.sub('ID', shown).strip()


def test_deploy_accepts_what_the_page_types(folder: Path) -> None:
    from bc_runtime.cli.deploy import prepare
    from bc_runtime.cli.main import make_parser
    from bc_runtime.deployment import ARGUMENTS

    (wrap,) = commands('wrap')
    assert main(wrap) == 0
    typed = commands('deploy')
    assert len(typed) == 2
    for words in typed:
        given = make_parser().parse_args(words)
        deployment = prepare({a.name: getattr(given, a.name) for a in ARGUMENTS})
        controller = deployment.nodes[0]
        assert controller.name == 'controller'
        assert controller.parameters['dry_run'] is ('--dry_run' in words)


def test_the_page_can_be_rehearsed_on_the_simulated_robot(folder: Path) -> None:
    mine = RobotConfig.from_file(folder / 'my_arm.yaml')
    simulated = RobotConfig.from_file(robot_file('sim_arm'))
    check_binding(PolicySpec.from_yaml_file(folder / 'pick.yaml'), simulated)
    assert mine.command.joints == simulated.command.joints
    assert mine.command.topic == simulated.command.topic
    assert {c.topic for c in mine.cameras.values()} == {
        c.topic for c in simulated.cameras.values()
    }
    for joint in mine.joints:
        other = simulated.joint(joint.name)
        assert (joint.lower, joint.upper) == (other.lower, other.upper)
        assert joint.velocity <= other.velocity and joint.acceleration <= other.acceleration


def test_the_braking_tail_of_the_page_is_long_enough(folder: Path) -> None:
    robot = RobotConfig.from_file(folder / 'my_arm.yaml')
    assert robot.command.tail_s >= max(j.velocity / j.deceleration for j in robot.joints)
