# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot checkpoints become policies that act as LeRobot does."""

from __future__ import annotations

import argparse
from dataclasses import replace
import json

import numpy as np
import pytest

pytest.importorskip('lerobot', reason='needs LeRobot (requirements/lerobot.txt)')

from bc_runtime.cli import export as cli
from bc_runtime.export.errors import ExportError, ParityError, StatisticsMissing
from bc_runtime.export.lerobot.checkpoint import read_checkpoint
from bc_runtime.export.lerobot.declaration import DeclarationError, read_declaration
from bc_runtime.export.lerobot.rollout import lerobot_rollout
from bc_runtime.export.lerobot.run import export_checkpoint
from bc_runtime.export.lerobot.source import LeRobotPipeline, load_lerobot_policy
from bc_runtime.export.lerobot.vlm import load_vlm
from bc_runtime.policy import load_policy
from bc_runtime.spec import ConfigError
from bc_runtime.spec.self_test import make_inputs

TICKS, RESETS = 25, (14,)
SENTENCES = ('pick up the cube', 'open the drawer and put the cube in')


def observations(spec, seed=2):
    rng = np.random.default_rng(seed)
    step = []
    for _ in range(TICKS):
        tensors = {}
        for item in spec.inputs:
            if item.kind in ('state', 'vector'):
                tensors[item.name] = rng.normal(-0.5, 0.5, item.feature_shape).astype(np.float32)
            elif item.kind == 'image':
                tensors[item.name] = rng.integers(0, 256, item.feature_shape, dtype=np.uint8)
            elif item.kind == 'tokens':
                tensors[item.name] = np.array([rng.integers(len(item.table))])
        step.append(tensors)
    return step


def deployed(policy, samples, *, seed):
    """Return our actions: a queue of n_action_steps, a history that a reset empties."""
    spec, actions, queue, history, episode = policy.spec, [], [], [], seed - 1
    for tick, tensors in enumerate(samples):
        if tick == 0 or tick in RESETS:
            episode += 1
            policy.reset(seed=episode)
            queue, history = [], [tensors] * spec.n_obs_steps
        history = [*history[1:], tensors]
        if not queue:
            stacked = {name: np.stack([h[name] for h in history]) for name in tensors}
            if spec.n_obs_steps == 1:
                stacked = {name: value[0] for name, value in stacked.items()}
            inputs = {name: value[None] for name, value in stacked.items()}
            queue = list(policy.infer(inputs).values[: spec.n_action_steps])
        actions.append(queue.pop(0))
    return np.array(actions)


@pytest.mark.parametrize(
    ('policy', 'config', 'options'),
    [
        ('act', {}, {}),
        ('act', {'use_vae': False, 'pre_norm': True}, {'exporter': 'legacy', 'opset': 17}),
        ('diffusion', {}, {}),
        ('diffusion', {'prediction_type': 'sample'}, {'unroll': True, 'exporter': 'legacy'}),
        ('diffusion', {'noise_scheduler_type': 'DDPM', 'num_train_timesteps': 12,
                       'num_inference_steps': None}, {}),
        ('diffusion', {}, {'two_graphs': True}),
        ('diffusion', {'noise_scheduler_type': 'DDPM', 'num_train_timesteps': 12,
                       'num_inference_steps': None}, {'two_graphs': True, 'exporter': 'legacy'}),
        ('vqbet', {}, {}),
        ('vqbet', {'sequentially_select': True}, {'exporter': 'legacy'}),
        ('diffusion', {'n_obs_steps': 1, 'use_separate_rgb_encoder_per_camera': True}, {}),
        ('smolvla', {}, {}),
        ('smolvla', {'pad_language_to': 'max_length', 'prefix_length': 80, 'empty_cameras': 1,
                     'add_image_special_tokens': True}, {'two_graphs': True}),
        ('smolvla', {'attention_mode': 'self_attn'}, {'unroll': True, 'exporter': 'legacy'}),
    ],
)  # fmt: skip
def test_parity_with_lerobot_through_a_rollout(
    make_checkpoint, declaration_file, tmp_path, policy, config, options
):
    directory = make_checkpoint(policy, **config)
    sentences = SENTENCES if policy == 'smolvla' else ()
    declaration = replace(read_declaration(declaration_file), instructions=sentences)
    report = export_checkpoint(directory, declaration, tmp_path / 'out.onnx', **options)
    assert report.source_error <= 1e-4
    loaded = load_policy(report.path, threads=1)
    checkpoint = read_checkpoint(directory)
    vlm = load_vlm(checkpoint) if sentences else None
    source = load_lerobot_policy(checkpoint, vlm)
    samples = observations(loaded.spec)
    theirs = lerobot_rollout(
        source,
        LeRobotPipeline(source, checkpoint, vlm, sentences),
        loaded.spec,
        samples,
        resets=RESETS,
        seed=7,
    )
    assert len(theirs.inferred) < TICKS
    ours = deployed(loaded, samples, seed=7)
    assert np.abs(theirs.actions).max() > 0.5
    np.testing.assert_allclose(ours, theirs.actions, rtol=0, atol=1e-4)


def test_the_chunk_reaches_the_horizon_and_the_noise_is_an_input(
    make_checkpoint, declaration_file, tmp_path
):
    report = export_checkpoint(
        make_checkpoint('diffusion'),
        read_declaration(declaration_file),
        tmp_path / 'out.onnx',
        sampler='ddpm',
        sampling_steps=3,
    )
    spec = report.spec
    assert (spec.n_obs_steps, spec.chunk_size, spec.n_action_steps) == (2, 15, 8)
    shapes = {item.name: item.shape for item in spec.inputs}
    assert shapes == {
        'state': (1, 2, 4),
        'images.top': (1, 2, 24, 32, 3),
        'noise': (1, 16, 4),
        'step_noise': (3, 1, 16, 4),
    }
    assert spec.source['sampler'] == 'ddpm, 3 steps'
    assert spec.source['parity']['source_max_abs_error'] <= 1e-4


def test_two_cameras_and_an_environment_state(make_checkpoint, tmp_path):
    directory = make_checkpoint(
        'act',
        features={
            'observation.environment_state': (3,),
            'observation.images.wrist': (3, 24, 32),
            'observation.state': (4,),
            'observation.images.top': (3, 20, 20),
        },
    )
    declared = tmp_path / 'declaration.yaml'
    declared.write_text("""
name: tiny
control_hz: 15
inputs:
  observation.state: {joints: [j1, j2, j3, j4], units: [rad, rad, rad, m]}
  observation.images.top: {camera: front, resize: {mode: stretch, interpolation: area}}
  observation.images.wrist: {camera: wrist, resize: {mode: stretch, interpolation: area}}
  observation.environment_state: {stream: goal, names: [x, y, z], units: [m, m, m]}
actions:
  - {kind: joint_position, names: [j1, j2, j3, j4], units: [rad, rad, rad, m]}
""")
    report = export_checkpoint(directory, read_declaration(declared), tmp_path / 'out.onnx')
    assert report.source_error <= 1e-4
    assert [item.name for item in report.spec.inputs] == [
        'environment_state',
        'images.wrist',
        'state',
        'images.top',
    ]


@pytest.mark.parametrize('mode', ['MEAN_STD', 'MIN_MAX'])
def test_one_graph_and_two_graphs_of_a_checkpoint_agree(
    make_checkpoint, declaration_file, tmp_path, mode
):
    modes = {'VISUAL': 'MEAN_STD', 'STATE': 'MIN_MAX', 'ACTION': mode}
    directory = make_checkpoint('diffusion', normalization_mapping=modes)
    declaration = read_declaration(declaration_file)
    one, two = (
        load_policy(
            export_checkpoint(directory, declaration, tmp_path / name, two_graphs=split).path,
            threads=1,
        )
        for name, split in (('one.onnx', False), ('two.onnx', True))
    )
    for seed in range(8):
        inputs = make_inputs(one.spec, seed)
        assert np.abs(one.infer(inputs).values - two.infer(inputs).values).max() <= 1e-5
    with pytest.raises(ExportError, match='choose one'):
        export_checkpoint(
            directory, declaration, tmp_path / 'x.onnx', two_graphs=True, unroll=True
        )


@pytest.mark.slow
def test_the_real_backbone(make_checkpoint, declaration_file, tmp_path):
    report = export_checkpoint(
        make_checkpoint('act', vision_backbone='resnet18'),
        read_declaration(declaration_file),
        tmp_path / 'out.onnx',
        exporter='legacy',
    )
    assert report.source_error <= 1e-4
    assert report.size_bytes > 40e6


def test_changed_weights_break_the_parity(
    make_checkpoint, declaration_file, tmp_path, monkeypatch
):
    """The comparison with LeRobot can fail."""
    from bc_runtime.export.lerobot import run

    class Other(run.ActGraph):
        def forward(self, *inputs):
            return super().forward(*inputs) + 0.001

    monkeypatch.setattr(run, 'ActGraph', Other)
    with pytest.raises(ParityError, match='source of the policy'):
        export_checkpoint(
            make_checkpoint('act'),
            read_declaration(declaration_file),
            tmp_path / 'out.onnx',
            exporter='legacy',
        )
    assert not (tmp_path / 'out.onnx').exists()


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('observation.state:', 'observation.stat:', "did you mean 'observation.state'"),
        ('[j1, j2, j3, j4]', '[j1, j2, j3]', 'expected 4 names'),
        ('[j1, j2, j3], units: [rad, rad, rad]}', '[j1], units: [rad]}', 'expected 4 action'),
        ('units: [rad, rad, rad, m]', 'units: [rad]', 'units'),
        ('camera: front,', '', 'camera'),
        ('control_hz: 15', 'control_hz: -1', 'control_hz'),
        ('name: tiny', 'nome: tiny', 'name'),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    make_checkpoint, declaration_file, tmp_path, old, new, words
):
    text = declaration_file.read_text()
    assert old in text
    declaration_file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=f'(?i){words}') as error:
        export_checkpoint(
            make_checkpoint('act'), read_declaration(declaration_file), tmp_path / 'out.onnx'
        )
    assert isinstance(error.value, DeclarationError)
    assert not (tmp_path / 'out.onnx').exists()


def test_a_config_of_another_lerobot_version_is_refused(
    make_checkpoint, declaration_file, tmp_path
):
    directory = make_checkpoint('act')
    config = json.loads((directory / 'config.json').read_text())
    (directory / 'config.json').write_text(json.dumps({**config, 'gradient_checkpointing': True}))
    with pytest.raises(ExportError, match='LeRobot version that trained it'):
        export_checkpoint(directory, read_declaration(declaration_file), tmp_path / 'out.onnx')


def test_a_family_that_is_not_there_is_refused(make_checkpoint, declaration_file, tmp_path):
    directory = make_checkpoint('act')
    config = json.loads((directory / 'config.json').read_text())
    (directory / 'config.json').write_text(json.dumps({**config, 'type': 'pi0'}))
    with pytest.raises(
        ExportError, match=r"'pi0' cannot be exported; known: act, diffusion, smolvla, vqbet"
    ):
        export_checkpoint(directory, read_declaration(declaration_file), tmp_path / 'out.onnx')


def run(*words):
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    return cli.run(parser.parse_args(['export', *map(str, words)]))


def test_bc_export_takes_a_directory(make_checkpoint, declaration_file, tmp_path, capsys):
    directory, out = make_checkpoint('act'), tmp_path / 'out.onnx'
    with pytest.raises(ConfigError, match='--declare'):
        run(directory, '--out', out)
    with pytest.raises(ExportError, match='no sampler'):
        run(directory, '--out', out, '--declare', declaration_file, '--steps', 3)
    assert run(directory, '--out', out, '--declare', declaration_file, '--exporter', 'legacy') == 0
    assert 'LeRobot and ONNX Runtime agree to' in capsys.readouterr().out
    (directory / 'policy_preprocessor.json').unlink()
    with pytest.raises(StatisticsMissing):
        run(directory, '--out', tmp_path / 'two.onnx', '--declare', declaration_file)
