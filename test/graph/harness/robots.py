# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Robot YAMLs of the tests: a gentle arm whose braking can be seen, and broken ones."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
from typing import Any

import yaml

#: Control rate of the gentle arm; BC_TEST_RATE_HZ=200 tries the faults at that of the shipped one.
RATE_HZ = float(os.environ.get('BC_TEST_RATE_HZ', '100'))
DT_S = 1.0 / RATE_HZ

#: Tolerances of the gentle arm: its servos trail by 0.05 rad at the policy's speed.
STALL_RAD, STALL_S = 0.08, 0.4

SHIPPED = Path(__file__).resolve().parents[3] / 'config' / 'robots' / 'sim_arm.yaml'


def shipped() -> dict[str, Any]:
    """Return the YAML of the simulated arm."""
    return dict(yaml.safe_load(SHIPPED.read_text(encoding='utf-8')))


def gentle() -> dict[str, Any]:
    """Return the simulated arm with low limits and the tolerances of the fault matrix.

    The shipped arm stops from 0.6 rad/s within two ticks; at 3 rad/s² that takes 0.2 s, which is
    twenty commands to judge and time to be killed in.
    """
    robot = shipped()
    for joint in robot['joints']:
        gripper = joint['name'] == 'gripper'
        joint['velocity'] = 0.3 if gripper else 1.2
        joint['acceleration'] = 1.5 if gripper else 3.0
    for camera in robot['cameras'].values():
        camera['frozen_s'] = 0.4
        camera['max_age_s'] = 0.23
    # The watchdogs leave time for the way of what they see through one node (or two) and a tick.
    robot['joint_states']['max_age_s'] = 0.09
    # The reactions that the fault matrix promises are counted in ticks of this rate.
    robot['command']['rate_hz'] = RATE_HZ
    robot['human'] |= {
        'takeover_topic': 'takeover',
        'teleop_topic': 'teleop',
        'heartbeat_s': 0.2,
    }
    robot['driver'] = {
        'stopped_topic': 'robot_stopped',
        'speed_scaling_topic': 'speed_scaling',
    }
    robot['tolerances'] = {
        'tracking': 0.25,
        'tracking_s': 0.2,
        'start': 0.6,
        'max_observation_age_s': 1.5,
        'stall': STALL_RAD,
        'stall_s': STALL_S,
    }
    return robot


def by_velocities() -> dict[str, Any]:
    """Return the gentle arm with a driver that takes velocities."""
    robot = gentle()
    robot['command'] |= {
        'type': 'float64_multi_array',
        'interface': 'velocity',
        'topic': 'velocity_commands',
    }
    del robot['command']['tail_s']
    return robot


def write(path: Path, robot: dict[str, Any]) -> Path:
    """Write a robot YAML."""
    path.write_text(yaml.safe_dump(robot, sort_keys=False), encoding='utf-8')
    return path


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return the shipped robot after `change(robot)`."""
    robot = shipped()
    change(robot)
    return robot
