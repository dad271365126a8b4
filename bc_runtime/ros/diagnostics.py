# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Say once a second on /diagnostics how a node is (REP 107); for people, never for motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from bc_runtime.ros import qos
from bc_runtime.ros.steady_timer import steady_timer

PERIOD_S = 1.0


class Diagnostics:
    """Publishes what `collect` returns: (level, message, facts)."""

    def __init__(
        self, node: Node, collect: Callable[[], tuple[bytes, str, Mapping[str, object]]]
    ) -> None:
        self._node = node
        self._collect = collect
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DATA)
        self._timer = steady_timer(node, PERIOD_S, self._publish)

    def _publish(self) -> None:
        level, message, facts = self._collect()
        status = DiagnosticStatus(
            level=level,
            name=self._node.get_fully_qualified_name().strip('/'),
            message=message,
            values=[KeyValue(key=key, value=str(value)) for key, value in facts.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def counts(events: Mapping[str, int]) -> str:
    """Return counts for people, e.g. `3 late, 1 refused`."""
    return ', '.join(f'{count} {what}' for what, count in sorted(events.items()) if count)
