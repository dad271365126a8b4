# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the controller."""

from __future__ import annotations

from enum import StrEnum
import math
from typing import Any

from rclpy.node import Node

from bc_runtime.control import ControlOptions
from bc_runtime.execution import BlendOptions, GripperRule, chosen_options, strategy_parameters
from bc_runtime.ros.parameters import Parameter
from bc_runtime.safety import Check, IngressConfig, OnFailure
from bc_runtime.spec.errors import ConfigError, available

PARAMETERS = (
    Parameter(
        name='robot',
        default='sim_arm',
        description='Robot YAML, or a shipped robot',
        read_only=True,
    ),
    Parameter(
        name='dry_run',
        default=False,
        description='Do everything but send commands; see ~/command for what would be sent',
        read_only=True,
    ),
    *(Parameter(**row) for row in strategy_parameters()),
    Parameter(
        name='gripper_rule',
        default='median',
        description='Grippers: median (what most of the weight says), average (as positions) or '
        'newest (the newest chunk decides)',
        read_only=True,
    ),
    Parameter(
        name='gripper_threshold',
        default=0.0,
        description='newest: a newer chunk must differ by more than this to decide [its unit]',
        minimum=0.0,
        maximum=1000.0,
        read_only=True,
    ),
    Parameter(
        name='binary_on',
        default=0.6,
        description='Binary actions: from this value on a chunk says on',
        minimum=0.0,
        maximum=1.0,
        read_only=True,
    ),
    Parameter(
        name='binary_off',
        default=0.4,
        description='Binary actions: down to this value a chunk says off',
        minimum=0.0,
        maximum=1.0,
        read_only=True,
    ),
    Parameter(
        name='on_out_of_range',
        default='clip',
        description='Actions outside the training range: clip, reject, warn or off',
        read_only=True,
    ),
    Parameter(
        name='range_tolerance',
        default=0.05,
        description='Share of the training range that an action may be outside',
        minimum=0.0,
        maximum=10.0,
        read_only=True,
    ),
    Parameter(
        name='on_old_chunk',
        default='reject',
        description='Chunks that lie in the past when they come: reject, warn or off',
        read_only=True,
    ),
    Parameter(
        name='chunk_margin_s',
        default=0.0,
        description='At least this much of a chunk must lie in the future [s]',
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    ),
    Parameter(
        name='on_jump',
        default='reject',
        description='Chunks whose action for now is far from the command: reject, warn or off',
        read_only=True,
    ),
    Parameter(
        name='jump_max_s',
        default=0.5,
        description='Far is what a joint travels in this time at its velocity limit [s]',
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    ),
    Parameter(
        name='rejected_limit',
        default=3,
        description='So many rejected chunks in a row stop the robot',
        minimum=1,
        maximum=1000,
        read_only=True,
    ),
    Parameter(
        name='rollback',
        default=True,
        description='When the first chunks of a new policy are rejected, the old one takes over',
        read_only=True,
    ),
    Parameter(
        name='interpolation',
        default='linear',
        description='Between the actions of a chunk: hold, linear or cubic',
        read_only=True,
    ),
    Parameter(
        name='coordinated',
        default=False,
        description='Slow all joints together when one is limited, to keep the direction',
        read_only=True,
    ),
    Parameter(
        name='jerk',
        default=False,
        description='Bound the jerk of approaches, not of stops (package ruckig; every joint '
        'needs `jerk` in the robot YAML); costs some lag',
        read_only=True,
    ),
    Parameter(
        name='max_plan_age_s',
        default=0.0,
        description='Stop when the plan rests on an observation older than this [s]; 0: follow it '
        'to its end',
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    ),
    Parameter(
        name='observation_patience_s',
        default=0.0,
        description='Stop after so long without a valid observation [s]; 0: 0.3 s, or 2.5 periods '
        'of a slow policy',
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    ),
    Parameter(
        name='human_mode',
        default='absolute',
        description='absolute: the leader is aligned first; relative: its motion counts (clutch)',
        read_only=True,
    ),
    Parameter(
        name='auto_resume',
        default=False,
        description='After a takeover the policy goes on without ~/resume',
        read_only=True,
    ),
    Parameter(
        name='recover',
        default=False,
        description='A robot outside its limits may start; it moves inwards only',
        read_only=True,
    ),
    Parameter(
        name='realtime_priority',
        default=40,
        description='SCHED_FIFO priority of the tick, where the system permits it; 0: normal',
        minimum=0,
        maximum=99,
        read_only=True,
    ),
    Parameter(
        name='cpu',
        default=-1,
        description='CPU core of the tick; -1: any',
        minimum=-1,
        maximum=1024,
        read_only=True,
    ),
)


#: Checks of a chunk that may do something else than reject -> parameter.
_CHECKS = {
    Check.RANGE: 'on_out_of_range',
    Check.AGE: 'on_old_chunk',
    Check.SPLICE: 'on_jump',
}


def control_options(node: Node) -> ControlOptions:
    """Return what the parameters of a node say."""

    def value(name: str) -> Any:
        return node.get_parameter(name).value

    return ControlOptions(
        strategy=value('strategy'),
        strategy_options=chosen_options(value('strategy'), value),
        interpolation=value('interpolation'),
        human_mode=value('human_mode'),
        dry_run=value('dry_run'),
        max_plan_age_s=value('max_plan_age_s') or math.inf,
        observation_patience_s=value('observation_patience_s') or None,
        auto_resume=value('auto_resume'),
        recover=value('recover'),
        coordinated=value('coordinated'),
        jerk=value('jerk'),
        blending=BlendOptions(
            gripper=GripperRule(_choice('gripper_rule', value('gripper_rule'), GripperRule)),
            gripper_threshold=value('gripper_threshold'),
            binary_on=value('binary_on'),
            binary_off=value('binary_off'),
        ),
        ingress=IngressConfig(
            on_failure={
                check: OnFailure(_choice(name, value(name), OnFailure))
                for check, name in _CHECKS.items()
            },
            range_tolerance=value('range_tolerance'),
            age_margin_s=value('chunk_margin_s'),
            jump_max_s=value('jump_max_s'),
            in_a_row=value('rejected_limit'),
        ),
        rollback=value('rollback'),
    )


def _choice(name: str, given: str, kinds: type[StrEnum]) -> str:
    if given not in [kind.value for kind in kinds]:
        raise ConfigError(
            f'parameter {name}: expected one of {available(kind.value for kind in kinds)}, '
            f'got {given!r}'
        )
    return given
