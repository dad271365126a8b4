# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What `bc train` refuses before it trains."""

from __future__ import annotations

import pytest

from bc_runtime.cli import train
from bc_runtime.cli.main import main


@pytest.fixture(autouse=True)
def packages(monkeypatch):
    monkeypatch.setattr(train, 'require_training_packages', lambda: None)


def test_family_needs_the_corrections_that_it_is_told_to_use(tmp_path, capsys):
    pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')
    assert main(['train', '--family', 'gmm', '--rounds', '2', '--cache', str(tmp_path)]) != 0
    error = capsys.readouterr().err
    assert 'sim_arm_chunk_1_round_1.npz' in error
    assert '--rounds 0' in error


def test_act_refuses_corrections_of_another_rate(capsys):
    assert main(['train', 'sim_arm_act', '--rounds', '1']) != 0
    assert 'leave out --rounds' in capsys.readouterr().err


def test_family_and_policy_must_not_contradict_each_other(capsys):
    assert main(['train', 'sim_arm_act', '--family', 'mlp']) != 0
    assert 'leave out one of the two' in capsys.readouterr().err


@pytest.mark.parametrize('words', [['--two-graphs'], ['--sampling-steps', '4']])
@pytest.mark.parametrize('family', ['act', 'chunk', 'mlp', 'steering'])
def test_sampling_options_are_for_families_that_sample(family, words, capsys):
    assert main(['train', '--family', family, *words]) != 0
    assert 'for --family diffusion and flow' in capsys.readouterr().err


def test_unknown_family_lists_those_that_exist(capsys):
    with pytest.raises(SystemExit):
        main(['train', '--family', 'vae'])
    assert 'diffusion' in capsys.readouterr().err


def test_unknown_encoder_lists_the_shipped_models(tmp_path, capsys):
    pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')
    arguments = ['train', '--family', 'mlp', '--encoder', 'none_such', '--rounds', '0']
    assert main([*arguments, '--cache', str(tmp_path)]) != 0
    assert 'sim_arm_act' in capsys.readouterr().err
