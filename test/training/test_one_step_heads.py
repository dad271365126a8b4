# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How the heads that predict one action come to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')
pytest.importorskip('onnx', reason='export needs onnx (requirements/train.txt)')

import torch

from bc_runtime.training.families.head import Batch
from bc_runtime.training.families.mlp import MlpHead
from bc_runtime.training.families.recipe import recipe_of

_CONDITION = 3


def mlp(**options):
    torch.manual_seed(1)
    return MlpHead(condition=_CONDITION, hidden=8, steps=2, dimensions=4, **options)


def test_answer_is_the_mean_of_the_members():
    head = mlp(members=3)
    seen = torch.randn(1, _CONDITION)
    (units,) = head(seen)
    each = torch.stack([member(seen).reshape(1, 2, 4) for member in head.members.each])
    torch.testing.assert_close(units, each.mean(dim=0))
    assert float((each[0] - each[1]).detach().abs().max()) > 1e-3


def test_members_are_trained_each_by_itself():
    """The error of the mean would let one member make up for another's."""
    head = mlp(members=2)
    seen = torch.randn(5, _CONDITION)
    mean = head(seen)[0].detach()
    loss = head.loss(Batch(condition=seen, target=mean, weights=torch.ones(5, 2)))
    assert float(loss.detach()) > 1e-4


def test_an_opening_between_the_two_that_were_shown_becomes_the_nearer_one():
    seen = torch.randn(1, _CONDITION)
    (units,), (mean,) = mlp(two_openings=True)(seen), mlp()(seen)
    torch.testing.assert_close(units[..., :-1], mean[..., :-1])
    torch.testing.assert_close(units[..., -1], torch.sign(mean[..., -1]))


@pytest.mark.parametrize(('family', 'told'), [('mlp', 11), ('rt1', 1), ('diffusion', 12)])
def test_a_one_step_policy_may_learn_more_than_it_gives(family, told):
    recipe = recipe_of(family)
    assert recipe.told == told
    assert recipe.rows == (12 if family == 'diffusion' else 3)
    assert replace(recipe, chunk_size=1, foresight=5).told == 5
