# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ACT: style variable, tokens, and chunks of 2 s at 50 Hz."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')

import torch

from bc_runtime.training.families.act import ActHead, ActSize, divergence
from bc_runtime.training.families.head import Batch
from bc_runtime.training.families.recipe import recipe_of
from bc_runtime.training.families.transformer import Attention, sine_positions_2d
from bc_runtime.training.families.vision import Grid
from bc_runtime.training.trials import CONDITIONS, conditions_for

GRID = Grid(points=6, channels=3, rows=4, columns=6)
CONDITION = 2 * GRID.features + 7 + 3


@pytest.fixture
def head():
    torch.manual_seed(0)
    return ActHead(
        grid=GRID,
        cameras=2,
        joints=7,
        instructions=3,
        steps=20,
        dimensions=7,
        kl_weight=10.0,
        size=ActSize(width=16, layers=2, style=5),
    ).eval()


def batch(count=4):
    generator = torch.Generator().manual_seed(1)
    return Batch(
        condition=torch.randn(count, CONDITION, generator=generator),
        target=torch.randn(count, 20, 7, generator=generator),
        weights=(torch.arange(20) < 13).float().repeat(count, 1),
    )


def losses(head, data):
    torch.manual_seed(2)
    return {name: float(value) for name, value in head.losses(data).items()}


def test_recipe_is_a_chunk_of_two_seconds_at_50_hz():
    recipe = recipe_of('act')
    assert (recipe.chunk_size, recipe.rate_hz, recipe.rows) == (100, 50, 100)


def test_chunk_has_the_shape_of_the_task_for_any_batch(head):
    for count in (1, 3):
        (chunk,) = head(batch(count).condition)
        assert chunk.shape == (count, 20, 7)


def test_deployed_is_the_style_zero_and_nothing_of_the_style_encoder(head):
    condition = batch().condition
    (chunk,) = head(condition)
    torch.testing.assert_close(chunk, head.decode(condition, torch.zeros(4, 5)), rtol=0, atol=0)
    with torch.no_grad():
        for parameter in head.style.parameters():
            parameter.fill_(7.0)
    torch.testing.assert_close(head(condition)[0], chunk, rtol=0, atol=0)
    assert (head.decode(condition, torch.ones(4, 5)) - chunk).abs().max() > 1e-4


def test_every_part_of_the_observation_changes_the_chunk(head):
    data = batch(1)
    (chunk,) = head(data.condition)
    edges = np.cumsum([0, GRID.points, GRID.features - GRID.points])
    places = {
        'points of the first camera': edges[0],
        'maps of the first camera': edges[1],
        'maps of the second camera': 2 * GRID.features - 1,
        'joints': 2 * GRID.features,
        'instruction': CONDITION - 1,
    }
    for name, place in places.items():
        changed = data.condition.clone()
        changed[0, place] += 3.0
        assert (head(changed)[0] - chunk).abs().max() > 1e-5, name


def test_divergence_is_that_of_normal_distributions():
    mean, log_variance = torch.randn(6, 5), torch.randn(6, 5)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * log_variance).exp()),
        torch.distributions.Normal(0.0, 1.0),
    )
    torch.testing.assert_close(divergence(mean, log_variance), wanted.sum(dim=1).mean())
    assert float(divergence(torch.zeros(2, 5), torch.zeros(2, 5))) == 0.0


def test_loss_is_l1_and_weighted_divergence(head):
    found = losses(head, batch())
    assert found['loss'] == pytest.approx(found['actions'] + 10.0 * found['kl'], rel=1e-5)
    assert found['kl'] > 0.0


def test_actions_that_count_for_nothing_change_neither_loss_nor_style(head):
    data = batch()
    changed = data.target.clone()
    changed[:, 13:] = 50.0
    assert losses(head, replace(data, target=changed)) == losses(head, data)
    changed = data.target.clone()
    changed[:, 12] = 50.0  # is known, and read by the style encoder
    found, before = losses(head, replace(data, target=changed)), losses(head, data)
    assert found['actions'] > before['actions']
    assert found['kl'] != before['kl']


def test_attention_is_softmax_over_the_known_tokens():
    torch.manual_seed(3)
    attention = Attention(width=8, heads=2)
    query, key, value = torch.randn(1, 2, 8), torch.randn(1, 5, 8), torch.randn(1, 5, 8)
    known = torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.0]])
    found = attention(query, key, value, known).detach().numpy()[0]
    q, k, v = (
        (layer(x).detach().numpy()[0]).reshape(-1, 2, 4)
        for layer, x in (
            (attention.query, query),
            (attention.key, key),
            (attention.value, value),
        )
    )
    rows = []
    for i in range(2):
        parts = []
        for h in range(2):
            share = np.exp([q[i, h] @ k[j, h] / 2.0 for j in (0, 1, 3)])
            parts.append((share / share.sum()) @ v[[0, 1, 3], h])
        rows.append(np.concatenate(parts))
    wanted = attention.out(torch.tensor(np.stack(rows), dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_every_cell_of_the_grid_has_a_place_of_its_own():
    places = sine_positions_2d(3, 4, 16)
    assert places.shape == (12, 16)
    apart = torch.cdist(places, places) + 10.0 * torch.eye(12)
    assert apart.min() > 0.1
    # The first half tells the row, the second the column.
    torch.testing.assert_close(places[1, :8], places[0, :8])
    torch.testing.assert_close(places[4, 8:], places[0, 8:])


@pytest.mark.parametrize(('control_hz', 'steps'), [(50.0, 20), (15.0, 6)])
def test_receding_horizon_is_committed_for_the_same_time_at_every_rate(control_hz, steps):
    class Shown:
        class spec:
            family = 'act'

    Shown.spec.control_hz = control_hz
    names = conditions_for(Shown)
    assert 'ensemble' in names
    assert f'receding_{steps}' in names
    options = CONDITIONS[f'receding_{steps}'].options
    assert options['n_action_steps'] / control_hz == pytest.approx(0.4)
