# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the controller."""

from __future__ import annotations

from bc_runtime.ros.parameters import Parameter

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
    Parameter(
        name='strategy',
        default='temporal_ensemble',
        description='How overlapping chunks are combined: temporal_ensemble, receding_horizon, '
        'latest, weighted_average or real_time_chunking',
        read_only=True,
    ),
    Parameter(
        name='temporal_ensemble_coeff',
        default=0.01,
        description='ACT weights exp(-coeff * i), i = 0 the oldest; negative favours new chunks',
        minimum=-10.0,
        maximum=10.0,
        read_only=True,
    ),
    Parameter(
        name='n_action_steps',
        default=0,
        description='receding_horizon: steps of a chunk to execute; 0: as the policy says',
        minimum=0,
        maximum=10000,
        read_only=True,
    ),
    Parameter(
        name='overrun_steps',
        default=0,
        description='receding_horizon: further steps to execute while the next chunk is late',
        minimum=0,
        maximum=10000,
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
        name='max_plan_age_s',
        default=0.0,
        description='Stop when the plan rests on an observation older than this [s]; 0: follow it '
        'to its end',
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
