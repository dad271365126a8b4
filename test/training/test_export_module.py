# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch', reason='export needs torch (requirements/train.txt)')
pytest.importorskip('onnx', reason='export needs onnx (requirements/train.txt)')

import onnx
import torch

from bc_runtime.export.errors import ExportError, ParityError, StatisticsMissing
from bc_runtime.export.module import export_module
from bc_runtime.policy import load_policy
from bc_runtime.spec import METADATA_KEY
from bc_runtime.spec.self_test import make_inputs
from bc_runtime.training.checkpoint import make_policy
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.run import some_observations
from bc_runtime.training.sim_arm import make_spec

TINY = Recipe(hidden=16, width=4)


@pytest.fixture
def spec(data):
    return make_spec(chunk_size=12, training_ranges=data.ranges(), source={'command': 'test'})


@pytest.fixture
def policy(data):
    torch.manual_seed(3)
    policy = make_policy(TINY)
    actions, weights = (torch.from_numpy(a) for a in data.chunks(12))
    policy.set_statistics(state=torch.from_numpy(data.state), actions=actions, weights=weights)
    return policy.eval()


@pytest.mark.parametrize(('exporter', 'opset'), [('dynamo', 18), ('dynamo', 20), ('legacy', 17)])
def test_untrained_policy_exports_with_parity(spec, policy, data, tmp_path, exporter, opset):
    report = export_module(
        policy,
        spec,
        tmp_path / 'tiny.onnx',
        observations=some_observations(data),
        exporter=exporter,
        opset=opset,
    )
    assert report.max_abs_error <= 1e-4
    loaded = load_policy(report.path, threads=1)
    assert loaded.spec.to_dict() == report.spec.to_dict()
    assert loaded.spec.self_test is not None
    for seed in range(8):
        inputs = make_inputs(loaded.spec, seed)
        with torch.no_grad():
            wanted = policy(*(torch.from_numpy(inputs[i.name]) for i in spec.inputs)).numpy()[0]
        np.testing.assert_allclose(loaded.infer(inputs).values, wanted, rtol=0, atol=1e-4)


def test_exported_file_says_nothing_of_the_machine(spec, policy, tmp_path):
    report = export_module(policy, spec, tmp_path / 'tiny.onnx')
    model = onnx.load(report.path)
    assert [entry.key for entry in model.metadata_props] == [METADATA_KEY]
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert not any(info.metadata_props for info in model.graph.value_info)
    bare = report.path.read_bytes()
    for trace in (b'/home', b'/work', b'/usr', b'.py', str(tmp_path).encode()):
        assert trace not in bare
    assert [p.name for p in tmp_path.iterdir()] == ['tiny.onnx']


def test_export_is_repeatable(spec, policy, tmp_path):
    one = export_module(policy, spec, tmp_path / 'one.onnx', exporter='legacy')
    two = export_module(policy, spec, tmp_path / 'two.onnx', exporter='legacy')
    assert one.path.read_bytes() == two.path.read_bytes()


def test_export_refuses_a_spec_without_statistics(spec, policy, tmp_path):
    ranges = dict(spec.training_ranges)
    del ranges['state.joint_3'], ranges['action.gripper']
    with pytest.raises(StatisticsMissing, match=r'missing: action\.gripper, state\.joint_3'):
        export_module(policy, replace(spec, training_ranges=ranges), tmp_path / 'tiny.onnx')
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_a_network_without_statistics(spec, tmp_path):
    with pytest.raises(StatisticsMissing, match='change_scale, state_mean, state_scale'):
        export_module(make_policy(TINY), spec, tmp_path / 'tiny.onnx')
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_another_shape_than_the_spec_says(spec, policy, tmp_path):
    with pytest.raises(ExportError, match=r'expected .action. of shape \[1, 11, 7\]'):
        export_module(
            policy,
            replace(spec, chunk_size=11, n_action_steps=6),
            tmp_path / 'tiny.onnx',
            exporter='legacy',
        )
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_an_unknown_exporter(spec, policy, tmp_path):
    with pytest.raises(ExportError, match='dynamo, legacy'):
        export_module(policy, spec, tmp_path / 'tiny.onnx', exporter='pickle')


class TracedOnce(torch.nn.Module):
    """Gives something else after the tracing: what a constant baked in by mistake looks like."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.offset = 0.0

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.inner(*inputs) + self.offset


def test_export_refuses_a_graph_that_computes_something_else(spec, policy, tmp_path, monkeypatch):
    module = TracedOnce(policy)
    import bc_runtime.export.module as exporting

    make = exporting.to_onnx

    def spoil(*args, **options):
        model = make(*args, **options)
        module.offset = 0.01
        return model

    monkeypatch.setattr(exporting, 'to_onnx', spoil)
    with pytest.raises(ParityError, match=r'differ by up to 0\.01') as caught:
        export_module(module, spec, tmp_path / 'tiny.onnx', exporter='legacy')
    assert caught.value.max_abs_error == pytest.approx(0.01, rel=1e-3)
    assert list(tmp_path.iterdir()) == []
