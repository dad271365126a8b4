# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""DriverConfig: what the robot's driver says about itself; the section `driver`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bc_runtime.spec.schema import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverConfig:
    """Topics of the driver; empty means not connected."""

    stopped_topic: Annotated[
        str,
        Key(
            '`std_msgs/Bool`, true while the robot has stopped itself (protective stop)',
            topic=True,
        ),
    ] = ''
    running_topic: Annotated[
        str, Key('`std_msgs/Bool`, false while it has, e.g. `robot_program_running`', topic=True)
    ] = ''
    speed_scaling_topic: Annotated[
        str,
        Key('`std_msgs/Float64`; 0 is a stop, other values are left to the robot', topic=True),
    ] = ''
