# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""SmolVLA: sentences become a table, and what would change the actions unseen is refused.

That the exported policy acts as LeRobot does is shown in test_lerobot_export.py.
"""

from __future__ import annotations

from dataclasses import replace
import json
import shutil

import numpy as np
import pytest

pytest.importorskip('lerobot', reason='needs LeRobot (requirements/lerobot.txt)')
pytest.importorskip('transformers', reason='needs transformers (requirements/lerobot.txt)')

from safetensors import safe_open
import torch

from bc_runtime.cli.main import main
from bc_runtime.export.errors import ExportError, StatisticsMissing
from bc_runtime.export.lerobot.checkpoint import read_checkpoint
from bc_runtime.export.lerobot.declaration import DeclarationError, read_declaration
from bc_runtime.export.lerobot.random_vlm import TINY, write_vlm
from bc_runtime.export.lerobot.run import export_checkpoint
from bc_runtime.export.lerobot.smolvla_pictures import resize_with_pad
from bc_runtime.export.lerobot.source import LeRobotPipeline, load_lerobot_policy, no_network
from bc_runtime.export.lerobot.vlm import load_vlm
from bc_runtime.policy import load_policy
from bc_runtime.spec.self_test import make_inputs

SENTENCES = ('pick up the cube', 'open the drawer and put the cube in', 'push\n')


@pytest.fixture
def declaration(declaration_file):
    return replace(read_declaration(declaration_file), instructions=SENTENCES)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_sentence_picture_and_noise_reach_the_actions(make_checkpoint, declaration, tmp_path):
    """The random network must be one in which a forgotten input is seen."""
    report = export_checkpoint(
        make_checkpoint('smolvla'), declaration, tmp_path / 'out.onnx', sampling_steps=2
    )
    spec = report.spec
    assert (spec.family, spec.chunk_size, spec.n_action_steps) == ('smolvla', 6, 4)
    assert {item.name: item.shape for item in spec.inputs} == {
        'state': (1, 4),
        'images.top': (1, 24, 32, 3),
        'instruction': (1, 1),
        'noise': (1, 6, 7),
    }
    (words,) = spec.instruction_inputs
    assert [words.encode(text) for text in SENTENCES] == [(0,), (1,), (2,)]
    assert spec.source['sampler'] == 'euler, 2 steps'
    assert spec.source['parity']['source_max_abs_error'] <= 1e-4
    policy = load_policy(report.path, threads=1)
    inputs = make_inputs(spec, 3)
    first = policy.infer({**inputs, 'instruction': np.array([[0]])}).values
    for name, value in (
        ('instruction', np.array([[1]])),
        ('instruction', np.array([[2]])),
        ('images.top', 255 - inputs['images.top']),
        ('state', inputs['state'] + np.float32(0.1)),
        ('noise', -inputs['noise']),
    ):
        other = policy.infer({**inputs, 'instruction': np.array([[0]]), name: value}).values
        assert np.abs(other - first).max() > 1e-3, name


def test_a_vlm_of_half_precision_is_written_in_single(make_checkpoint, declaration, tmp_path):
    """The text side of SmolVLM2 says bfloat16, so LeRobot builds it and the expert like that."""
    text = {**TINY['text_config'], 'dtype': 'bfloat16'}
    write_vlm(tmp_path / 'checkpoint' / 'smolvla' / 'vlm', {**TINY, 'text_config': text})
    directory = make_checkpoint('smolvla')
    with safe_open(directory / 'model.safetensors', 'pt') as file:
        name = 'model.vlm_with_expert.lm_expert.layers.0.mlp.up_proj.weight'
        assert file.get_tensor(name).dtype == torch.bfloat16
    report = export_checkpoint(directory, declaration, tmp_path / 'out.onnx', sampling_steps=1)
    assert report.source_error <= 1e-4


def test_the_cache_of_the_hub_is_looked_into(make_checkpoint, tmp_path, monkeypatch):
    directory = make_checkpoint('smolvla')
    home = tmp_path / 'hub' / 'models--some--vlm'
    (home / 'refs').mkdir(parents=True)
    (home / 'refs' / 'main').write_text('a' * 40)
    (home / 'snapshots').mkdir()
    (directory / 'vlm').rename(home / 'snapshots' / ('a' * 40))
    edit(directory / 'config.json', vlm_model_name='some/vlm')
    checkpoint = replace(read_checkpoint(directory), tokenizer_name='some/vlm')
    with pytest.raises(ExportError, match='is not on this machine'):
        load_vlm(checkpoint)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'hub'))
    assert load_vlm(checkpoint).directory == home / 'snapshots' / ('a' * 40)


def test_tokens_are_those_of_lerobots_own_processor(make_checkpoint):
    """LeRobot reads the same folder by AutoTokenizer, with its own settings."""
    from lerobot.policies.factory import make_pre_post_processors

    directory = make_checkpoint('smolvla')
    checkpoint = read_checkpoint(directory)
    vlm = load_vlm(checkpoint)
    policy = load_lerobot_policy(checkpoint, vlm)
    ours = LeRobotPipeline(policy, checkpoint, vlm, SENTENCES)
    with no_network():
        theirs, _ = make_pre_post_processors(policy.config, pretrained_path=str(directory))
    for words in SENTENCES:
        got = theirs({'observation.state': torch.zeros(4), 'task': words})
        assert got['observation.language.attention_mask'].all()
        assert ours.tokens(words) == got['observation.language.tokens'][0].tolist()
    assert ours.tokens('push\n') == ours.tokens('push')


@pytest.mark.parametrize('size', [(24, 32), (32, 24), (64, 64), (100, 64), (480, 640), (7, 50)])
def test_pictures_are_resized_as_lerobot_does(size):
    from lerobot.policies.smolvla import modeling_smolvla

    picture = torch.rand(1, 3, *size)
    theirs = modeling_smolvla.resize_with_pad(picture, 64, 64, pad_value=0)
    torch.testing.assert_close(resize_with_pad(picture, 64, 64), theirs, rtol=0, atol=0)


def without_tokenizer(directory):
    shutil.rmtree(directory / 'vlm')


def with_code(directory):
    edit(directory / 'vlm' / 'tokenizer_config.json', auto_map={'AutoTokenizer': ['x.Y', None]})


def with_slow_tokenizer(directory):
    edit(directory / 'vlm' / 'tokenizer_config.json', tokenizer_class='TransfoXLTokenizer')


def with_other_vlm(directory):
    edit(directory / 'vlm' / 'config.json', model_type='paligemma')


def with_other_tokenizer(directory):
    path = directory / 'policy_preprocessor.json'
    steps = json.loads(path.read_text())['steps']
    for step in steps:
        if step['registry_name'] == 'tokenizer_processor':
            step['config']['tokenizer_name'] = 'somebody/else'
    edit(path, steps=steps)


def without_tokens(directory):
    path = directory / 'policy_preprocessor.json'
    steps = json.loads(path.read_text())['steps']
    edit(path, steps=[s for s in steps if s['registry_name'] != 'tokenizer_processor'])


def with_another_step(directory):
    path = directory / 'policy_preprocessor.json'
    steps = json.loads(path.read_text())['steps']
    edit(path, steps=[*steps, {'registry_name': 'action_tokenizer_processor'}])


def for_aloha(directory):
    edit(directory / 'config.json', adapt_to_pi_aloha=True)


def without_cache(directory):
    edit(directory / 'config.json', use_cache=False)


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (without_tokenizer, r'tokenizer .* is not on this machine.*--vlm DIR'),
        (with_code, 'without code of its own'),
        (with_slow_tokenizer, "got 'TransfoXLTokenizer'"),
        (with_other_vlm, 'config of a SmolVLM'),
        (with_other_tokenizer, "the tokenizer is 'somebody/else'"),
        (without_tokens, "expected one step 'tokenizer_processor'"),
        (with_another_step, "'action_tokenizer_processor' is not one that the graph reproduces"),
        (for_aloha, 'adapt_to_pi_aloha'),
        (without_cache, 'use_cache'),
    ],
)
def test_what_would_act_otherwise_is_refused(
    make_checkpoint, declaration, tmp_path, damage, words
):
    directory = make_checkpoint('smolvla')
    damage(directory)
    with pytest.raises(ExportError, match=words):
        export_checkpoint(directory, declaration, tmp_path / 'out.onnx')
    assert not (tmp_path / 'out.onnx').exists()


def test_a_long_sentence_is_refused_and_not_cut(make_checkpoint, declaration, tmp_path):
    directory = make_checkpoint('smolvla', tokenizer_max_length=12)
    with pytest.raises(ExportError, match=r"'open the drawer and put.* tokens, .* 1 to 12"):
        export_checkpoint(directory, declaration, tmp_path / 'out.onnx')


def test_the_tokenizer_of_a_larger_vlm_is_refused(make_checkpoint, declaration, tmp_path):
    write_vlm(tmp_path / 'checkpoint' / 'smolvla' / 'vlm', vocabulary=20)
    with pytest.raises(ExportError, match='tokenizer of another VLM'):
        export_checkpoint(make_checkpoint('smolvla'), declaration, tmp_path / 'out.onnx')


def test_a_smolvla_without_sentences_or_statistics_is_refused(
    make_checkpoint, declaration, tmp_path
):
    directory = make_checkpoint('smolvla')
    with pytest.raises(DeclarationError, match=r'instructions: .*got none'):
        export_checkpoint(directory, replace(declaration, instructions=()), tmp_path / 'x.onnx')
    with pytest.raises(ExportError, match='no sampler'):
        export_checkpoint(directory, declaration, tmp_path / 'x.onnx', sampler='ddim')
    for path in directory.glob('policy_postprocessor_step_*.safetensors'):
        path.unlink()
    with pytest.raises(StatisticsMissing, match='statistics is missing'):
        export_checkpoint(directory, declaration, tmp_path / 'x.onnx')


def test_policies_that_are_told_nothing_refuse_sentences(make_checkpoint, declaration, tmp_path):
    directory = make_checkpoint('act')
    with pytest.raises(DeclarationError, match=r"'act' is told nothing.*'pick up the cube'"):
        export_checkpoint(directory, declaration, tmp_path / 'out.onnx')
    with pytest.raises(ExportError, match="--vlm: a policy of type 'act'"):
        export_checkpoint(
            directory,
            replace(declaration, instructions=()),
            tmp_path / 'out.onnx',
            vlm_directory=tmp_path,
        )


def test_bc_export_takes_the_folder_of_the_vlm(
    make_checkpoint, declaration_file, tmp_path, capsys
):
    directory = make_checkpoint('smolvla')
    (directory / 'vlm').rename(tmp_path / 'elsewhere')
    with declaration_file.open('a') as file:
        file.write('instructions: [pick up the cube]\n')
    words = ['export', str(directory), '--declare', str(declaration_file), '--steps', '1']
    words += ['--out', str(tmp_path / 'out.onnx'), '--vlm']
    assert main([*words, str(tmp_path)]) != 0
    assert 'missing: config.json, tokenizer.json' in capsys.readouterr().err
    assert main([*words, str(tmp_path / 'elsewhere')]) == 0
    assert 'LeRobot and ONNX Runtime agree to' in capsys.readouterr().out


def test_an_empty_sentence_is_refused(declaration_file):
    declaration_file.write_text(declaration_file.read_text() + "instructions: ['a', ' ']\n")
    with pytest.raises(DeclarationError, match='got an empty one'):
        read_declaration(declaration_file)
