# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The programs of `ros2 run`: a signal while they import ends them without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros

#: Sends the signal to itself in the middle of the imports of a node.
PROGRAM = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == 'bc_runtime.ros.parameters':
            os.kill(os.getpid(), int(sys.argv[2]))

sys.meta_path.insert(0, Interrupt())
from bc_runtime.ros import start
sys.exit(getattr(start, sys.argv[1])())
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    'name', ['controller', 'inference', 'observation', 'recorder', 'sim_robot', 'sim_car']
)
def test_a_signal_during_the_imports_ends_a_node_in_order(ros_domain, name, number):
    """Regressions pinned: Ctrl-C under plain `ros2 run` printed a traceback."""
    done = subprocess.run(
        ['env', '--default-signal=INT', sys.executable, '-c', PROGRAM, name, str(int(number))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
