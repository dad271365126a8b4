# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy is, what a robot is, and the errors that name what is wrong with either."""

from bc_runtime.spec.actions import ActionGroup, ActionKind, Reference
from bc_runtime.spec.command_config import CommandConfig
from bc_runtime.spec.errors import (
    BcError,
    BindingError,
    ConfigError,
    ExecutionError,
    ObservationError,
    PolicyError,
    RecordingError,
    RobotConfigError,
    SafetyError,
    SimulationError,
    SpecError,
)
from bc_runtime.spec.human_config import HumanConfig
from bc_runtime.spec.inputs import (
    ImageInput,
    InputKind,
    InstructionInput,
    NoiseInput,
    PolicyInput,
    PrefixInput,
    RecurrentInput,
    ResizeRule,
    StateInput,
    VectorInput,
)
from bc_runtime.spec.joint_config import JointConfig
from bc_runtime.spec.policy_spec import METADATA_KEY, PolicySpec, SelfTest, TrainingRange
from bc_runtime.spec.robot_config import (
    CameraConfig,
    RobotConfig,
    StreamConfig,
    Tolerances,
    VectorConfig,
)

__all__ = [
    'METADATA_KEY',
    'ActionGroup',
    'ActionKind',
    'BcError',
    'BindingError',
    'CameraConfig',
    'CommandConfig',
    'ConfigError',
    'ExecutionError',
    'HumanConfig',
    'ImageInput',
    'InputKind',
    'InstructionInput',
    'JointConfig',
    'NoiseInput',
    'ObservationError',
    'PolicyError',
    'PolicyInput',
    'PolicySpec',
    'PrefixInput',
    'RecordingError',
    'RecurrentInput',
    'Reference',
    'ResizeRule',
    'RobotConfig',
    'RobotConfigError',
    'SafetyError',
    'SelfTest',
    'SimulationError',
    'SpecError',
    'StateInput',
    'StreamConfig',
    'Tolerances',
    'TrainingRange',
    'VectorConfig',
    'VectorInput',
]
