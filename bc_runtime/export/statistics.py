# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Refuse to export what was not told its training data's statistics.

A policy without them runs and moves the robot, somewhere: the most common mistake of deployments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bc_runtime.export.errors import StatisticsMissing
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.errors import available


def check_statistics(spec: PolicySpec, module: Any) -> None:
    """Require a training range of every dimension, and finite numbers in the module.

    Args:
        spec: Must have `state.<joint>` for the joints of its position inputs and
            `action.<name>` for every action.
        module: The torch module or exported program; a normalisation that was never set is NaN
            in its buffers.

    Raises:
        StatisticsMissing: names the dimensions or tensors and what to do.
    """
    wanted = [f'state.{joint}' for item in spec.state_inputs for joint in item.joints]
    wanted += [f'action.{name}' for name in spec.action_names]
    missing = [name for name in wanted if name not in spec.training_ranges]
    if missing:
        raise StatisticsMissing(
            f'{spec.name}: export needs the training range (min, max, mean, std) of every state '
            f'and action dimension; missing: {available(missing)}; given: '
            f'{available(spec.training_ranges)}. Take them from the training data and put them '
            'into PolicySpec.training_ranges'
        )
    state = module.state_dict  # a method of modules, a property of exported programs
    bad = [
        name
        for name, tensor in (state() if callable(state) else state).items()
        if not np.isfinite(tensor.detach().cpu().numpy()).all()
    ]
    if bad:
        raise StatisticsMissing(
            f'{spec.name}: these tensors of the module hold NaN or infinity: {available(bad)}. '
            'A normalisation that was never set looks like this: set the statistics of the '
            'training data before the export; otherwise the training diverged'
        )
