# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Why nothing is heard although somebody speaks: transports, and a clock that does not come."""

from __future__ import annotations

from rclpy.node import Node


def unheard(node: Node, topic: str) -> str:
    """Return what is wrong if publishers of a topic are discovered; empty if there are none.

    Only for topics of which nothing arrives, and whose subscription takes any QoS.
    """
    ends = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    if not ends:
        return ''
    names = ', '.join(sorted({f'{e.node_namespace.rstrip("/")}/{e.node_name}' for e in ends}))
    return (
        f'{names} publishes there and is discovered, but nothing arrives: either it sends '
        'nothing now (`ros2 topic hz` beside it shows that), or it runs in another container or '
        'as another user, where shared memory does not reach. Then start both containers with '
        '--ipc=host and as the same user, or let every process talk by UDP alone: '
        'FASTDDS_DEFAULT_PROFILES_FILE=<share/bc_runtime>/config/fastdds_udp.xml'
    )


def clock_problem(node: Node) -> str:
    """Return what is wrong if a node follows /clock and /clock has not come; else empty."""
    if not node.get_parameter('use_sim_time').value or node.get_clock().now().nanoseconds > 0:
        return ''
    publishers = node.count_publishers('/clock')
    come = 'is published, but has not arrived' if publishers else 'is published by nobody'
    return (
        f'use_sim_time is set and /clock {come}: start the simulation or the replay with its '
        'clock (ros2 bag play --clock), or leave use_sim_time out'
    )
