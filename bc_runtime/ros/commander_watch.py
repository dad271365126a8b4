# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Who publishes on a topic beside those that may: two that command one robot are a danger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import threading

from rclpy.node import Node

from bc_runtime.control import ControlLoop
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.safety import Flag

#: How often to look for other publishers [s].
_LOOK_S = 0.5


def other_publishers(node: Node, topic: str, *, own: int) -> list[str]:
    """Return the names of those that publish on a topic, without this node's own publishers.

    Endpoints are counted, not names: a second node may have the name of this one.

    Args:
        node: Who asks.
        topic: Resolved or relative name.
        own: How many publishers this node has on it.
    """
    found = [
        (each.node_name, each.node_namespace)
        for each in node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    ]
    me = (node.get_name(), node.get_namespace())
    for _ in range(min(own, found.count(me))):
        found.remove(me)
    return [
        f'another {name}' if (name, namespace) == me else name for name, namespace in sorted(found)
    ]


class PublisherWatch:
    """Looks again and again for other publishers on some topics.

    Args:
        node: Who looks.
        topics: Resolved or relative names.
        own: How many publishers this node has on each.
        most: So many others may be there.
        tell: Called each time with what is wrong; empty if nothing is.
    """

    def __init__(
        self,
        node: Node,
        topics: Iterable[str],
        *,
        own: int,
        most: int,
        tell: Callable[[str], None],
    ) -> None:
        self._node = node
        self._topics = tuple(topics)
        self._own, self._most = own, most
        self._tell = tell
        steady_timer(node, _LOOK_S, self._look)

    def _look(self) -> None:
        texts = []
        for topic in self._topics:
            others = other_publishers(self._node, topic, own=self._own)
            if len(others) > self._most:
                texts.append(f'{", ".join(others)} on {topic}')
        self._tell('; '.join(texts))


class CommanderWatch:
    """Raises DUPLICATE_COMMANDER while somebody else publishes on the command topic.

    Args:
        node: The controller.
        loop: Its control loop.
        lock: Held around every use of the loop.
        topic: The command topic.
    """

    def __init__(self, node: Node, loop: ControlLoop, lock: threading.Lock, topic: str) -> None:
        self._loop = loop
        self._lock = lock
        self._watch = PublisherWatch(node, [topic], own=1, most=0, tell=self._tell)

    def _tell(self, text: str) -> None:
        with self._lock:
            self._loop.set_fact(Flag.DUPLICATE_COMMANDER, text)
