# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the policies of the simulated arm take and give."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bc_runtime.sim import task
from bc_runtime.sim.demonstrations import IMAGE_HEIGHT, IMAGE_WIDTH
from bc_runtime.sim.expert import POLICY_HZ
from bc_runtime.spec import (
    ActionGroup,
    ActionKind,
    ImageInput,
    InputKind,
    InstructionInput,
    PolicySpec,
    Reference,
    ResizeRule,
    SelfTest,
    StateInput,
    TrainingRange,
)

#: The policy whose image encoders the others take.
NAME: Final = 'sim_arm_chunk'
VERSION: Final = '1'
#: Steps that the receding-horizon strategy executes before the next chunk, as evaluated.
N_ACTION_STEPS: Final = 6

#: Instruction in words -> one-hot row.
EMBEDDINGS: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        task.INSTRUCTIONS[colour]: tuple(float(i == k) for k in range(len(task.COLOURS)))
        for i, colour in enumerate(task.COLOURS)
    }
)


def make_spec(
    *,
    chunk_size: int,
    training_ranges: Mapping[str, TrainingRange],
    source: Mapping[str, object],
    self_test: SelfTest | None = None,
) -> PolicySpec:
    """Return the contract of a policy that was trained on the simulated arm."""
    names = task.JOINT_NAMES
    arm, gripper = names[:-1], names[-1:]
    return PolicySpec(
        name=NAME,
        version=VERSION,
        family='chunk',
        license='Apache-2.0',
        control_hz=float(POLICY_HZ),
        n_obs_steps=1,
        chunk_size=chunk_size,
        n_action_steps=min(N_ACTION_STEPS, chunk_size),
        stamp_index=0,
        inputs=(
            StateInput(
                name='state',
                shape=(1, len(names)),
                joints=names,
                quantity='position',
                units=(*('rad' for _ in arm), 'm'),
            ),
            *(_image(camera) for camera in task.CAMERAS),
            InstructionInput(
                kind=InputKind.EMBEDDING,
                name='instruction',
                shape=(1, len(EMBEDDINGS)),
                dtype='float32',
                table=EMBEDDINGS,
            ),
        ),
        output='action',
        actions=(
            ActionGroup(
                kind=ActionKind.JOINT_POSITION,
                names=arm,
                units=tuple('rad' for _ in arm),
                reference=Reference.ABSOLUTE,
            ),
            ActionGroup(
                kind=ActionKind.GRIPPER,
                names=gripper,
                units=('m',),
                reference=Reference.ABSOLUTE,
            ),
        ),
        training_ranges=training_ranges,
        self_test=self_test,
        source=source,
    )


def _image(camera: str) -> ImageInput:
    return ImageInput(
        name=f'image_{camera}',
        shape=(1, IMAGE_HEIGHT, IMAGE_WIDTH, 3),
        camera=camera,
        height=IMAGE_HEIGHT,
        width=IMAGE_WIDTH,
        layout='HWC',
        dtype='uint8',
        value_range=(0.0, 255.0),
        color='rgb',
        resize=ResizeRule(mode='stretch', interpolation='area'),
    )
