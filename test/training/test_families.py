# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Every policy family, from a tiny training to the runtime."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')
pytest.importorskip('onnx', reason='export needs onnx (requirements/train.txt)')

import torch

from bc_runtime.export.errors import ExportError
from bc_runtime.export.module import export_module
from bc_runtime.policy import load_policy
from bc_runtime.resources import share_directory
from bc_runtime.spec import ConfigError
from bc_runtime.spec.inputs import NoiseInput, RecurrentInput
from bc_runtime.spec.self_test import make_inputs
from bc_runtime.training.checkpoint import make_policy
from bc_runtime.training.families.diffusion import signal_share
from bc_runtime.training.families.recipe import RECIPES, recipe_of
from bc_runtime.training.families.run import train_and_export
from bc_runtime.training.families.scaling import ActionScale
from bc_runtime.training.families.table import make_table
from bc_runtime.training.families.trainer import train_family
from bc_runtime.training.families.vision import load_vision
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.sim_arm import make_spec

FAMILIES = sorted(RECIPES)


def silent(line: str) -> None:
    pass


def tiny(family: str):
    return replace(recipe_of(family), steps=3, batch=4, hidden=16, views=2, warmup_steps=1)


@pytest.fixture(scope='session')
def encoder(tmp_path_factory, request):
    """A policy with random weights whose encoders the families take."""
    torch.manual_seed(5)
    policy = make_policy(Recipe(hidden=16, width=4))
    with torch.no_grad():  # equal weights, as at the start, would share one tensor in the file
        for parameter in policy.encoders.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    rng = np.random.default_rng(1)
    state = torch.from_numpy(rng.normal(size=(8, 7)).astype(np.float32))
    actions = state[:, None].repeat(1, 12, 1)
    policy.set_statistics(state=state, actions=actions, weights=torch.ones(8, 12))
    ranges = {
        f'{kind}.{name}': request.getfixturevalue('some_range')
        for kind in ('state', 'action')
        for name in (*(f'joint_{i}' for i in range(1, 7)), 'gripper')
    }
    spec = make_spec(chunk_size=12, training_ranges=ranges, source={'command': 'test'})
    path = tmp_path_factory.mktemp('encoder') / 'encoder.onnx'
    export_module(policy.eval(), spec, path)
    return path


@pytest.fixture(scope='session')
def some_range():
    from bc_runtime.spec import TrainingRange

    return TrainingRange(minimum=-1.0, maximum=1.0, mean=0.0, std=0.5)


@pytest.fixture
def exported(request, data, encoder, tmp_path):
    recipe = tiny(request.param)
    report = train_and_export(
        recipe,
        demonstrations=[data],
        encoder=encoder,
        out=tmp_path / 'policy.onnx',
        folder=tmp_path,
        command='test',
        say=silent,
    )
    return recipe, report


@pytest.mark.parametrize('exported', FAMILIES, indirect=True)
def test_family_exports_with_parity_and_runs(exported):
    recipe, report = exported
    assert report.max_abs_error <= 1e-4
    policy = load_policy(report.path, threads=1)
    spec = policy.spec
    assert spec.family == recipe.family
    assert spec.control_hz == recipe.rate_hz
    assert spec.self_test is not None
    assert spec.source['encoder']['file'] == 'encoder.onnx'
    policy.reset(seed=1)
    own = {item.name for item in spec.inputs if isinstance(item, (NoiseInput, RecurrentInput))}
    tensors = {k: v for k, v in make_inputs(spec, 3).items() if k not in own}
    values = policy.infer(tensors).values
    assert values.shape == (recipe.rows, 7)
    assert ((values[:, 6] >= 0.0) & (values[:, 6] <= 0.0921)).all()
    if recipe.chunk_size == 1:
        np.testing.assert_array_equal(values, np.repeat(values[:1], recipe.rows, axis=0))


@pytest.mark.parametrize('exported', ['diffusion', 'flow'], indirect=True)
def test_noise_decides_the_chunk_and_a_seed_repeats_it(exported):
    policy = load_policy(exported[1].path, threads=1)
    inputs = make_inputs(policy.spec, 3)
    tensors = {k: v for k, v in inputs.items() if k != 'noise'}
    policy.reset(seed=1)
    one, two = policy.infer(tensors).values, policy.infer(tensors).values
    policy.reset(seed=1)
    again = policy.infer(tensors).values
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - two).max() > 1e-4


@pytest.mark.parametrize('family', ['diffusion', 'flow'])
def test_one_graph_and_two_graphs_of_a_family_agree(family, data, encoder, tmp_path):
    policies = []
    for two_graphs in (False, True):
        report = train_and_export(
            replace(tiny(family), sampling_steps=7),
            demonstrations=[data],
            encoder=encoder,
            out=tmp_path / ('two.onnx' if two_graphs else 'one.onnx'),
            folder=tmp_path,
            command='test',
            two_graphs=two_graphs,
            say=silent,
        )
        assert report.max_abs_error <= 1e-4
        policies.append(load_policy(report.path, threads=1))
    one, two = policies
    assert (tmp_path / 'two.step.onnx').is_file()
    assert two.spec.sampling is not None
    assert two.spec.sampling.steps == 7
    for seed in range(8):
        inputs = make_inputs(one.spec, seed)
        inputs['noise'] = inputs['noise'] * np.float32(3.0)  # reaches the limits
        off = np.abs(one.infer(inputs).values - two.infer(inputs).values).max()
        assert off <= 1e-5


def test_a_family_without_a_loop_is_one_graph(data, encoder, tmp_path):
    with pytest.raises(ExportError, match='only diffusion and flow'):
        train_and_export(
            tiny('mlp'),
            demonstrations=[data],
            encoder=encoder,
            out=tmp_path / 'two.onnx',
            folder=tmp_path,
            command='test',
            two_graphs=True,
            say=silent,
        )
    assert not list(tmp_path.glob('two*'))


@pytest.mark.parametrize('exported', ['gmm'], indirect=True)
def test_recurrent_state_is_carried_and_reset(exported):
    policy = load_policy(exported[1].path, threads=1)
    tensors = {k: v for k, v in make_inputs(policy.spec, 3).items() if k not in ('hidden', 'cell')}
    policy.reset()
    one, two = policy.infer(tensors).values, policy.infer(tensors).values
    policy.reset()
    again = policy.infer(tensors).values
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - two).max() > 1e-6


@pytest.mark.parametrize('family', FAMILIES)
def test_training_twice_gives_the_same_weights_and_lowers_the_loss(family, data, encoder):
    recipe = replace(tiny(family), steps=150, batch=8, hidden=48, learning_rate=3e-3)
    vision = load_vision(encoder, coarser=recipe.coarser)
    samples = data.samples(max(12, recipe.chunk_size))
    table = make_table([samples], data.lengths, vision, recipe, folder=None, say=silent)
    one = train_family(table, vision, recipe, say=silent)
    two = train_family(table, vision, recipe, say=silent)
    for name, value in one.network.state_dict().items():
        torch.testing.assert_close(value, two.network.state_dict()[name], rtol=0, atol=0)
    start = train_family(table, vision, replace(recipe, steps=1), say=silent)
    assert one.losses['loss'] < start.losses['loss']


def test_encoders_are_taken_over_unchanged(encoder, data):
    vision = load_vision(encoder)
    recipe = tiny('mlp')
    table = make_table([data.samples(12)], data.lengths, vision, recipe, folder=None, say=silent)
    policy = train_family(table, vision, recipe, say=silent).network
    for name, value in vision.state_dict().items():
        torch.testing.assert_close(value, policy.vision.state_dict()[name], rtol=0, atol=0)
    assert not any(p.requires_grad for p in policy.vision.parameters())


def test_features_are_kept_and_their_first_view_is_of_the_images_as_they_are(
    encoder, data, tmp_path
):
    vision = load_vision(encoder)
    recipe = tiny('mlp')
    samples = data.samples(12)
    lines: list[str] = []
    table = make_table([samples], data.lengths, vision, recipe, folder=tmp_path, say=lines.append)
    again = make_table([samples], data.lengths, vision, recipe, folder=tmp_path, say=lines.append)
    assert 'computed before' in lines[-1]
    np.testing.assert_array_equal(table.features, again.features)
    images = [
        torch.from_numpy(data.images[c][:3].astype(np.float32)) / 127.5 - 1.0
        for c in ('front', 'wrist')
    ]
    with torch.no_grad():
        wanted = vision(images, torch.from_numpy(data.instructions()[:3])).numpy()
    np.testing.assert_allclose(table.features[0, :3], wanted, atol=1e-5)
    assert np.abs(table.features[1, :3] - wanted).max() > 1e-4


def test_encoder_refuses_other_files(tmp_path, data):
    path = tmp_path / 'other.onnx'
    path.write_bytes(b'no model')
    with pytest.raises(ConfigError, match='cannot be read as ONNX'):
        load_vision(path)


@pytest.mark.parametrize('exported', ['mlp'], indirect=True)
def test_encoders_can_be_taken_from_any_family(exported, encoder):
    wanted, found = load_vision(encoder), load_vision(exported[1].path)
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=0)


def test_shipped_policies_of_the_arm_share_their_encoders():
    paths = sorted((share_directory() / 'models').glob('sim_arm_*.onnx'))
    first, *others = (load_vision(path).state_dict() for path in paths)
    assert len(others) >= 5
    for each in others:
        for name, value in first.items():
            torch.testing.assert_close(each[name], value, rtol=0, atol=0)


def test_coarse_maps_are_means_of_the_encoders_maps_beside_where_things_are(encoder, data):
    fine, coarse = load_vision(encoder), load_vision(encoder, coarser=3)
    images = [torch.rand(2, 72, 96, 3) * 2.0 - 1.0 for _ in range(2)]
    words = torch.eye(3)[:2]
    with torch.no_grad():
        found, where = coarse(images, words), fine(images, words)
        maps = coarse.encoders[1].see(images[1].permute(0, 3, 1, 2), words)
    assert found.shape == (2, coarse.features)
    second = coarse.grid.split(found[:, coarse.grid.features :])
    torch.testing.assert_close(second[0], where[:, fine.grid.features :])
    assert second[1].shape == (2, 8, 6, 8)
    torch.testing.assert_close(second[1][0, 5, 2, 3], maps[0, 5, 6:9, 9:12].mean())


def test_checkpoints_are_complete_policies_on_the_way(data, encoder, tmp_path):
    train_and_export(
        replace(tiny('mlp'), steps=20),
        demonstrations=[data],
        encoder=encoder,
        out=tmp_path / 'policy.onnx',
        folder=None,
        command='test',
        checkpoints=tmp_path / 'kept',
        say=silent,
    )
    kept = {path.name for path in (tmp_path / 'kept').iterdir()}
    assert kept == {f'policy_0_update_{step}.onnx' for step in range(2, 20, 2)}
    actions = [
        load_policy(path, threads=1).infer(make_inputs(load_policy(path).spec, 3)).values
        for path in (tmp_path / 'kept' / 'policy_0_update_2.onnx', tmp_path / 'policy.onnx')
    ]
    assert np.abs(actions[0] - actions[1]).max() > 1e-6


def test_unknown_family_lists_those_that_exist():
    with pytest.raises(ConfigError, match='available: act, diffusion, flow, gmm, mlp, rt1'):
        recipe_of('vae')


def test_scaling_round_trip_is_exact_within_the_range(data):
    scale = ActionScale(steps=12, joints=6, gripper_max_m=0.092)
    samples = data.samples(12)
    state, actions, weights = (
        torch.from_numpy(x) for x in (samples.state, samples.actions, samples.weights)
    )
    scale.set_statistics(state=state, actions=actions, weights=weights)
    actions[..., 6] = actions[..., 6].clamp(0.0, 0.092)
    units = scale.normalise(state, actions)
    torch.testing.assert_close(scale.restore(state, units), actions, rtol=0, atol=2e-6)
    known = weights > 0
    torch.testing.assert_close(scale.clip(units)[known], units[known])


def test_diffusion_schedule_runs_from_signal_to_noise():
    shares = signal_share(torch.linspace(0.0, 1.0, 50))
    assert float(shares[0]) == pytest.approx(1.0)
    assert float(shares[-1]) < 1e-3
    assert bool((shares[1:] <= shares[:-1]).all())
    assert math.isfinite(float(shares[-1].log()))
