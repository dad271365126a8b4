# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""steady_timer: a timer on the monotonic clock.

`create_timer` alone takes the ROS clock: under use_sim_time it stands while /clock does not come
or is paused, and then nobody says so.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.timer import Timer


def steady_timer(node: Node, period_s: float, callback: Callable[[], object]) -> Timer:
    """Return a timer of a node that goes on while the ROS clock stands."""
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
