# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')

import torch

from bc_runtime.spec import ConfigError
from bc_runtime.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    make_policy,
    save_checkpoint,
)
from bc_runtime.training.loss import chunk_loss
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.samples import SamplePool
from bc_runtime.training.sim_arm import make_spec
from bc_runtime.training.trainer import train, train_further

SHORT = Recipe(steps=4, batch=8, hidden=32, width=4, episodes=3)


def weights_of(policy) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in policy.state_dict().items()}


def test_training_twice_from_one_seed_gives_the_same_weights(data):
    one = weights_of(train(data, SHORT, say=lambda _: None).network)
    two = weights_of(train(data, SHORT, say=lambda _: None).network)
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)


def test_training_from_another_seed_gives_other_weights(data):
    one = weights_of(train(data, SHORT, say=lambda _: None).network)
    other = Recipe(steps=4, batch=8, hidden=32, width=4, episodes=3, seed=1)
    two = weights_of(train(data, other, say=lambda _: None).network)
    assert any(np.any(value != two[name]) for name, value in one.items())


def test_training_lowers_the_loss(data):
    recipe = Recipe(steps=60, batch=32, hidden=64, width=4, episodes=3, warmup_steps=5)
    actions, weights = (torch.from_numpy(a) for a in data.chunks(recipe.chunk_size))
    state = torch.from_numpy(data.state)
    images = [torch.from_numpy(data.images[c]) / 127.5 - 1.0 for c in ('front', 'wrist')]
    words = torch.from_numpy(data.instructions())

    def loss(policy) -> float:
        with torch.no_grad():
            raw = policy.predict(state, images, words)
            joint, grip = chunk_loss(policy, raw, state=state, actions=actions, weights=weights)
        return float(joint + grip)

    start = make_policy(recipe)
    start.set_statistics(state=state, actions=actions, weights=weights)
    assert loss(train(data, recipe, say=lambda _: None).network) < 0.8 * loss(start)


def test_more_training_starts_from_the_given_weights_and_leaves_them(data):
    start = train(data, SHORT, say=lambda _: None).network
    before = {name: value.copy() for name, value in weights_of(start).items()}
    pool = SamplePool([data.samples(SHORT.chunk_size)] * 2)
    after = train_further(
        start, pool, SHORT, seed=9, steps=1, rate=1e-9, say=lambda _: None
    ).network
    for name, value in weights_of(start).items():
        np.testing.assert_array_equal(value, before[name])
        np.testing.assert_allclose(weights_of(after)[name], value, atol=1e-6)


def test_loss_ignores_what_has_no_weight(data):
    policy = make_policy(SHORT)
    actions, weights = (torch.from_numpy(a) for a in data.chunks(SHORT.chunk_size))
    state = torch.from_numpy(data.state)
    policy.set_statistics(state=state, actions=actions, weights=weights)
    raw = torch.randn(len(state), SHORT.chunk_size, 7)
    spoiled = torch.where(weights[..., None] > 0, actions, actions + 5.0)
    for one, two in zip(
        chunk_loss(policy, raw, state=state, actions=actions, weights=weights),
        chunk_loss(policy, raw, state=state, actions=spoiled, weights=weights),
        strict=True,
    ):
        assert float(one) == pytest.approx(float(two), rel=1e-6)


def test_policy_outputs_absolute_joints_and_a_gripper_within_its_range(data):
    policy = train(data, SHORT, say=lambda _: None).network
    images = [torch.from_numpy(data.images[c][:1]) for c in ('front', 'wrist')]
    words = torch.from_numpy(data.instructions()[:1])
    state = torch.from_numpy(data.state[:1])
    with torch.no_grad():
        here = policy(state, *images, words)
        policy.head[-1].weight.zero_()
        policy.head[-1].bias.zero_()
        still = policy(state, *images, words)
    assert here.shape == (1, 12, 7)
    assert bool(((here[..., 6] >= 0) & (here[..., 6] <= 0.092)).all())
    torch.testing.assert_close(still[..., :6], state[:, None, :6].expand(-1, 12, -1))


def test_checkpoint_round_trip_gives_the_same_actions(data, tmp_path):
    policy = train(data, SHORT, say=lambda _: None).network
    spec = make_spec(chunk_size=12, training_ranges=data.ranges(), source={'command': 'test'})
    path = tmp_path / 'policy.npz'
    save_checkpoint(Checkpoint(recipe=SHORT, spec=spec, policy=policy), path)
    again = load_checkpoint(path)
    assert again.recipe == SHORT
    assert again.spec.to_dict() == spec.to_dict()
    for name, value in weights_of(policy).items():
        np.testing.assert_array_equal(value, weights_of(again.policy)[name])


def test_checkpoint_refuses_what_is_none(tmp_path):
    path = tmp_path / 'policy.npz'
    np.savez(path, a=np.zeros(2))
    with pytest.raises(ConfigError, match="entry 'spec'; it holds: a"):
        load_checkpoint(path)
    path.write_bytes(b'no zip')
    with pytest.raises(ConfigError, match='cannot be read as a checkpoint'):
        load_checkpoint(path)


def test_recipe_refuses_impossible_numbers():
    with pytest.raises(ConfigError, match='episodes: expected at least 1, got 0'):
        Recipe(episodes=0)
    with pytest.raises(ConfigError, match='rounds: expected 0 or more, got -1'):
        Recipe(rounds=-1)
