# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a family's policy of the simulated arm takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bc_runtime.sim.expert import POLICY_HZ
from bc_runtime.spec import PolicySpec, TrainingRange
from bc_runtime.spec.inputs import PolicyInput
from bc_runtime.training.families.recipe import FamilyRecipe
from bc_runtime.training.sim_arm import N_ACTION_STEPS, make_spec

VERSION = '1'
# Of a chunk, as long as the first policy's receding horizon.
_COMMITTED_S = N_ACTION_STEPS / POLICY_HZ


def family_spec(
    recipe: FamilyRecipe,
    *,
    own_inputs: Sequence[PolicyInput],
    training_ranges: Mapping[str, TrainingRange],
    source: Mapping[str, object],
) -> PolicySpec:
    """Return the contract of a family: that of the family chunk, with inputs of its own."""
    base = make_spec(chunk_size=recipe.rows, training_ranges=training_ranges, source=dict(source))
    return replace(
        base,
        name=f'sim_arm_{recipe.family}',
        version=VERSION,
        family=recipe.family,
        control_hz=float(recipe.rate_hz),
        n_action_steps=min(round(_COMMITTED_S * recipe.rate_hz), recipe.chunk_size),
        inputs=(*base.inputs, *own_inputs),
    )
