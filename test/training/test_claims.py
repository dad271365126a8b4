# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The planar claims, with trainings that are too short to show much."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')

from bc_runtime.cli import bench
from bc_runtime.training.claims import plane
from bc_runtime.training.claims.learner import learn
from bc_runtime.training.claims.planar import error_growth, two_ways
from bc_runtime.training.families.gmm import GmmHead
from bc_runtime.training.families.mlp import MlpHead


def test_demonstrations_pass_the_post_by_both_sides_without_touching_it():
    rng = np.random.default_rng(0)
    walks = [plane.pass_post(rng).positions for _ in range(20)]
    assert not any(plane.hits_post(walk).any() for walk in walks)
    assert all(plane.arrived(walk[-1]) for walk in walks)
    sides = {float(np.sign(walk[np.abs(walk[:, 0]).argmin(), 1])) for walk in walks}
    assert sides == {-1.0, 1.0}


def test_demonstrations_stay_near_the_path():
    positions = plane.follow_path(np.random.default_rng(1)).positions
    assert positions[-1, 0] >= 1.0
    assert np.abs(positions[:, 1] - plane.path_height(positions[:, 0])).max() < 0.06


def test_learned_step_goes_where_the_demonstrations_go():
    walks = [plane.follow_path(np.random.default_rng(seed)) for seed in range(6)]
    policy = learn(
        lambda: MlpHead(condition=2, hidden=32, steps=4, dimensions=2),
        walks,
        chunk=4,
        seed=0,
        updates=300,
    )
    policy.reset(1)
    here = walks[0].positions[20:21]
    wanted = np.diff(walks[0].positions[20:25], axis=0)
    assert np.abs(policy.steps(here)[0] - wanted).max() < 0.02


def test_recurrent_policy_carries_its_state_and_forgets_it_at_a_reset():
    walks = [plane.pass_post(np.random.default_rng(seed)) for seed in range(4)]
    policy = learn(
        lambda: GmmHead(condition=2, hidden=8, modes=2, dimensions=2),
        walks,
        chunk=1,
        seed=0,
        updates=5,
    )
    here = np.zeros((3, 2))
    policy.reset(3)
    one, two = policy.steps(here), policy.steps(here)
    policy.reset(3)
    np.testing.assert_array_equal(policy.steps(here), one)
    assert np.abs(one - two).max() > 0.0


def test_claims_are_the_same_from_the_same_seeds_and_are_written(tmp_path, capsys):
    claims = [*error_growth(policies=1, updates=3), two_ways(policies=1, updates=3)]
    again = [*error_growth(policies=1, updates=3), two_ways(policies=1, updates=3)]
    assert claims == again
    for claim in claims:
        bench.write_claim(claim, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f'{key}.{kind}' for key in ('error_growth', 'chunk_size') for kind in ('md', 'json')),
        'error_growth.svg',
        'chunk_size.svg',
        'two_ways.md',
        'two_ways.json',
    }
    assert 'diffusion, chunk 8' in capsys.readouterr().out
