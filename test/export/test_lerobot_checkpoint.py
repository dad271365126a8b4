# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot directories are read by name, and refused where something is missing or unknown."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip('safetensors', reason='needs safetensors (requirements/lerobot.txt)')

from safetensors.numpy import load_file, save_file

from bc_runtime.export.errors import ExportError, StatisticsMissing
from bc_runtime.export.lerobot.checkpoint import read_checkpoint

STATE = 'policy_preprocessor_step_3_normalizer_processor.safetensors'
AFTER = 'policy_postprocessor_step_0_unnormalizer_processor.safetensors'


@pytest.fixture
def directory(tmp_path):
    """Return a checkpoint directory written by hand, without LeRobot."""
    folder = tmp_path / 'checkpoint'
    folder.mkdir()
    features = {
        'observation.state': {'type': 'STATE', 'shape': [2]},
        'observation.environment_state': {'type': 'ENV', 'shape': [3]},
        'observation.images.top': {'type': 'VISUAL', 'shape': [3, 8, 10]},
    }
    action = {'action': {'type': 'ACTION', 'shape': [2]}}
    norm = {'STATE': 'MEAN_STD', 'VISUAL': 'MEAN_STD', 'ACTION': 'MIN_MAX'}
    write(folder / 'config.json', type='act', input_features=features, output_features=action)
    save_file({'w': np.zeros(1, np.float32)}, folder / 'model.safetensors')
    stats = {
        'observation.state.mean': np.array([0.1, 0.2], np.float32),
        'observation.state.std': np.array([1.0, 2.0], np.float32),
        'observation.images.top.mean': np.full((3, 1, 1), 0.5, np.float32),
        'observation.images.top.std': np.full((3, 1, 1), 0.2, np.float32),
        'action.min': np.array([-1.0, -2.0], np.float32),
        'action.max': np.array([1.0, 2.0], np.float32),
    }
    save_file(stats, folder / STATE)
    save_file(stats, folder / AFTER)
    config = {'eps': 1e-8, 'features': {**features, **action}, 'norm_map': norm}
    write(
        folder / 'policy_preprocessor.json',
        name='policy_preprocessor',
        steps=[
            {'registry_name': 'rename_observations_processor', 'config': {'rename_map': {}}},
            {'registry_name': 'to_batch_processor', 'config': {}},
            {'registry_name': 'device_processor', 'config': {'device': 'cpu'}},
            {'registry_name': 'normalizer_processor', 'config': config, 'state_file': STATE},
        ],
    )
    write(
        folder / 'policy_postprocessor.json',
        name='policy_postprocessor',
        steps=[
            {'registry_name': 'unnormalizer_processor', 'config': config, 'state_file': AFTER},
            {'registry_name': 'device_processor', 'config': {'device': 'cpu'}},
        ],
    )
    return folder


def write(path, **value):
    path.write_text(json.dumps(value))


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def normalizer(value):
    return next(s for s in value['steps'] if s['registry_name'].endswith('normalizer_processor'))


def test_a_directory_is_read(directory):
    found = read_checkpoint(directory)
    assert found.policy == 'act'
    assert [f.key for f in found.inputs] == [
        'observation.state',
        'observation.environment_state',
        'observation.images.top',
    ]
    assert found.observation_norms['observation.state'].mode == 'MEAN_STD'
    # LeRobot's default map does not name ENV: it is not normalised.
    assert found.observation_norms['observation.environment_state'].mode == 'IDENTITY'
    assert found.action_norm.mode == 'MIN_MAX'
    assert len(found.sha256) == 64


def test_the_folder_of_a_training_run_is_found(directory):
    run = directory.parent / 'run'
    run.mkdir()
    directory.rename(run / 'pretrained_model')
    assert read_checkpoint(run).policy == 'act'


def without(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink()

    return change


def drop_statistic(file, name):
    def change(folder):
        stats = load_file(folder / file)
        del stats[name]
        save_file(stats, folder / file)

    return change


def set_statistic(file, name, value):
    def change(folder):
        save_file({**load_file(folder / file), name: value}, folder / file)

    return change


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (without('policy_preprocessor.json'), 'migrate_policy_normalization'),
        (without('policy_postprocessor.json'), 'statistics of the training data are missing'),
        (without(STATE), 'file with the statistics is missing'),
        (drop_statistic(STATE, 'observation.state.std'), r"'observation.state' .*std are missing"),
        (drop_statistic(AFTER, 'action.min'), "'action' is normalised by MIN_MAX"),
        (
            set_statistic(STATE, 'observation.state.mean', np.array([np.nan, 0], np.float32)),
            'NaN or infinity',
        ),
        (
            set_statistic(STATE, 'observation.state.mean', np.zeros(3, np.float32)),
            r'to fit its shape \[2\], got \[3\]',
        ),
        (
            lambda f: edit(
                f / 'policy_preprocessor.json', lambda v: normalizer(v).pop('state_file')
            ),
            'names no state_file',
        ),
        (
            lambda f: edit(f / 'policy_preprocessor.json', lambda v: v['steps'].pop()),
            "one step 'normalizer_processor', got 0",
        ),
    ],
)
def test_missing_statistics_are_refused(directory, damage, words):
    damage(directory)
    with pytest.raises(StatisticsMissing, match=words):
        read_checkpoint(directory)


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (without('config.json'), 'has no config.json; expected a LeRobot checkpoint'),
        (without('model.safetensors'), 'model.safetensors: there is no such file'),
        (lambda f: (f / 'config.json').write_text('{'), 'cannot be read'),
        (lambda f: (f / STATE).write_bytes(b'\x80\x04pickle'), 'is no safetensors file'),
        (
            lambda f: edit(
                f / 'policy_preprocessor.json',
                lambda v: v['steps'].append({'registry_name': 'tokenizer_processor'}),
            ),
            "step 'tokenizer_processor' is not one that the graph reproduces",
        ),
        (
            lambda f: edit(
                f / 'policy_preprocessor.json', lambda v: v['steps'].append({'class': 'os.system'})
            ),
            "step 'os.system' is not one",
        ),
        (
            lambda f: edit(
                f / 'policy_preprocessor.json',
                lambda v: normalizer(v).update(state_file='../../etc/passwd'),
            ),
            'safetensors file in the directory',
        ),
        (
            lambda f: edit(
                f / 'policy_preprocessor.json',
                lambda v: normalizer(v)['config']['norm_map'].update(STATE='WHITEN'),
            ),
            "got 'WHITEN'",
        ),
        (lambda f: edit(f / 'config.json', lambda v: v.pop('type')), 'policy type'),
        (lambda f: edit(f / 'config.json', lambda v: v.update(input_features={})), 'features'),
    ],
)
def test_damaged_directories_are_refused(directory, damage, words):
    damage(directory)
    with pytest.raises(ExportError, match=words):
        read_checkpoint(directory)


def test_what_is_no_directory_is_refused(tmp_path):
    with pytest.raises(ExportError, match='is no directory'):
        read_checkpoint(tmp_path / 'nothing')
