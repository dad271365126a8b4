# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The programs of `ros2 run bc_runtime ...`: each holds signals back and imports its node.

Imports take a second or more. A Ctrl-C meanwhile would print a traceback from the middle of them;
held back, it ends the node as soon as that can act on it.
"""

from __future__ import annotations

from collections.abc import Callable
import importlib
import sys

from bc_runtime.missing_package import describe_missing
from bc_runtime.parent import hold_signals

EXIT_BAD_INPUT = 2


def _program(name: str, module: str) -> Callable[[], int]:
    def main() -> int:
        hold_signals()
        try:
            node = importlib.import_module(f'bc_runtime.ros.{module}')
        except ModuleNotFoundError as error:
            print(f'error: {describe_missing(name, error)}', file=sys.stderr)
            return EXIT_BAD_INPUT
        return int(node.main())

    return main


controller = _program('controller', 'controller_node')
inference = _program('inference', 'inference_node')
observation = _program('observation', 'observation_node')
recorder = _program('recorder', 'recorder_node')
sim_robot = _program('sim_robot', 'sim_node')
sim_car = _program('sim_car', 'car_node')
