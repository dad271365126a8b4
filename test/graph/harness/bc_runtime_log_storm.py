# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The controller's process in a log storm: every callback logs, and the root logger is taken over.

Run in the place of `python -m bc_runtime.ros.controller_node`, with the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import logging
import sys
from typing import Any

from bc_runtime.ros import controller_node

#: Lines per callback.
LINES = 3


def storming(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Log before doing it, by the node's logger and by Python's."""

    @functools.wraps(callback)
    def logged(node: Any, *args: Any) -> Any:
        for k in range(LINES):
            node.get_logger().info(f'{callback.__name__} {k}')
            logging.getLogger('storm').error('%s %d', callback.__name__, k)
        return callback(node, *args)

    return logged


def main() -> int:
    """Run the node."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    node = controller_node.ControllerNode
    for name in ('_on_joint_state', '_on_chunk', '_on_observation'):
        setattr(node, name, storming(getattr(node, name)))
    return controller_node.main()


if __name__ == '__main__':
    sys.exit(main())
