# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""DriverConfig: what the robot's driver says about itself; the section `driver`."""

from __future__ import annotations

from dataclasses import dataclass

from bc_runtime.spec.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverConfig:
    """Topics of the driver; empty means not connected.

    Attributes:
        stopped_topic: std_msgs/Bool, true while the robot has stopped itself (protective stop).
        running_topic: std_msgs/Bool, false while it has; e.g. `robot_program_running` of a UR.
        speed_scaling_topic: std_msgs/Float64, share of the commanded speed that it allows; 0 is a
            stop. Percent and shares are the same here: only 0 counts.
    """

    stopped_topic: str = ''
    running_topic: str = ''
    speed_scaling_topic: str = ''


def read_driver(f: Fields) -> DriverConfig:
    """Read the section."""
    driver = DriverConfig(
        stopped_topic=f.topic('stopped_topic', ''),
        running_topic=f.topic('running_topic', ''),
        speed_scaling_topic=f.topic('speed_scaling_topic', ''),
    )
    f.done()
    return driver
