# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the steering policy takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bc_runtime.sim.car_expert import IMAGE_HEIGHT, IMAGE_WIDTH, POLICY_HZ
from bc_runtime.spec import (
    ActionGroup,
    ActionKind,
    ImageInput,
    PolicySpec,
    Reference,
    ResizeRule,
    TrainingRange,
)

NAME: Final = 'lane_car_steering'
FAMILY: Final = 'steering'
CAMERA: Final = 'front'
#: Policy steps for which the graph holds its one answer: a chunk is never extrapolated.
ROWS: Final = 3


def steering_spec(
    *, training_ranges: Mapping[str, TrainingRange], source: Mapping[str, object]
) -> PolicySpec:
    """Return the contract of the steering policy."""
    return PolicySpec(
        name=NAME,
        version='1',
        family=FAMILY,
        license='Apache-2.0',
        control_hz=float(POLICY_HZ),
        n_obs_steps=1,
        chunk_size=ROWS,
        n_action_steps=1,
        stamp_index=0,
        inputs=(
            ImageInput(
                name=f'image_{CAMERA}',
                shape=(1, IMAGE_HEIGHT, IMAGE_WIDTH, 3),
                camera=CAMERA,
                height=IMAGE_HEIGHT,
                width=IMAGE_WIDTH,
                layout='HWC',
                dtype='uint8',
                value_range=(0.0, 255.0),
                color='rgb',
                resize=ResizeRule(mode='stretch', interpolation='area'),
            ),
        ),
        output='action',
        actions=(
            ActionGroup(
                kind=ActionKind.LINEAR_VELOCITY,
                names=('linear.x',),
                units=('m/s',),
                reference=Reference.ABSOLUTE,
            ),
            ActionGroup(
                kind=ActionKind.ANGULAR_VELOCITY,
                names=('angular.z',),
                units=('rad/s',),
                reference=Reference.ABSOLUTE,
            ),
        ),
        training_ranges=training_ranges,
        source=source,
    )
