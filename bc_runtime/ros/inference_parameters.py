# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the inference node."""

from __future__ import annotations

from rclpy.node import Node

from bc_runtime.inference_loop import TriggerOptions
from bc_runtime.ros.parameters import Parameter
from bc_runtime.ros.scheduling import step_forward
from bc_runtime.ros.untyped import value_of
from bc_runtime.spec import ConfigError
from bc_runtime.spec.errors import available

ROLES = ('active', 'shadow')

PARAMETERS = (
    Parameter(
        name='robot',
        default='sim_arm',
        description='Robot YAML, or a shipped robot',
        read_only=True,
    ),
    Parameter(
        name='model',
        default='sim_arm_act',
        description='Policy file, or a shipped model; set it to exchange the policy while it runs',
    ),
    Parameter(
        name='model_directories',
        default=[''],
        description='Folders that models may come from; empty: the shipped models, BC_MODEL_PATH '
        'and the folder of the model at the start',
        read_only=True,
    ),
    Parameter(
        name='role',
        default='active',
        description='active, or shadow: infers beside the policy in charge with low priority and '
        'never acts (its topics are remapped)',
        read_only=True,
    ),
    Parameter(
        name='providers',
        default=['CPUExecutionProvider'],
        description='ONNX Runtime execution providers, best first',
        read_only=True,
    ),
    Parameter(
        name='allow_fallback',
        default=False,
        description='Accept a slower provider than the first when that one is not available',
        read_only=True,
    ),
    Parameter(
        name='threads',
        default=1,
        description='Threads of one inference; 0: chosen by measurement (ONNX files)',
        minimum=0,
        maximum=64,
        read_only=True,
    ),
    Parameter(
        name='seed',
        default=0,
        description='Seed of the sampling noise; each start adds its epoch',
        minimum=0,
        maximum=2**31,
    ),
    Parameter(
        name='trigger',
        default='as_fast_as_possible',
        description='When to infer: as_fast_as_possible, rate, every_n_action_steps or '
        'remaining_horizon',
        read_only=True,
    ),
    Parameter(
        name='trigger_rate_hz',
        default=0.0,
        description='rate: inferences per second; 0: the rate of the policy',
        minimum=0.0,
        maximum=1000.0,
        read_only=True,
    ),
    Parameter(
        name='n_action_steps',
        default=0,
        description='every_n_action_steps: the number; 0: as the policy says',
        minimum=0,
        maximum=10000,
        read_only=True,
    ),
    Parameter(
        name='trigger_horizon_s',
        default=0.0,
        description='remaining_horizon: threshold [s]; 0: half a chunk',
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    ),
)


def trigger_options(node: Node) -> TriggerOptions:
    """Return when to infer, as the node's parameters say."""
    return TriggerOptions(
        mode=value_of(node, 'trigger'),
        rate_hz=value_of(node, 'trigger_rate_hz'),
        n_action_steps=value_of(node, 'n_action_steps'),
        horizon_s=value_of(node, 'trigger_horizon_s'),
    )


def role_of(node: Node) -> str:
    """Return whether the node acts or watches.

    Raises:
        ConfigError: there is no such role.
    """
    role = str(node.get_parameter('role').value)
    if role not in ROLES:
        raise ConfigError(f'parameter role: expected one of {available(ROLES)}, got {role!r}')
    return role


def preferred(node: Node) -> Node:
    """Let the process of a node that acts come before others; return the node.

    Raises:
        ConfigError: there is no such role.
    """
    if role_of(node) == 'active':
        step_forward(threads=int(node.get_parameter('threads').value))
    return node
