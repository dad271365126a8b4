# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A child ends with its parent, at every moment, and signals wait until it can act on them."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest

from bc_runtime.parent import VARIABLE, ending_with_parent, holds_signals, parent_has_died

#: Says its process id, waits for a line, and only then has handlers.
SLOW = """
import os, signal, sys
from bc_runtime.parent import release_signals
print(os.getpid(), flush=True)
sys.stdin.readline()
def act(number, frame):
    print('signal', number, flush=True)
    sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, act)
release_signals()
signal.pause()
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_the_child_can_act_on_it(number: signal.Signals) -> None:
    """Regressions pinned: Ctrl-C while a node imported its modules printed tracebacks."""
    child = subprocess.Popen(
        [*ending_with_parent(hold=True), sys.executable, '-c', SLOW],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert int(child.stdout.readline()) == child.pid
    assert holds_signals(child.pid)
    child.send_signal(number)
    out, err = child.communicate('go\n', timeout=60.0)
    assert (out, err, child.returncode) == (f'signal {number:d}\n', '', 0)


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_a_child_gets_sigint_when_its_parent_is_killed(
    how: signal.Signals, tmp_path: Path
) -> None:
    told, tells = os.pipe()
    line = [*ending_with_parent(), sys.executable, '-c',
            'import signal, os, sys\n'
            'signal.signal(signal.SIGINT, lambda *_: (os.write(1, b"stopped"), sys.exit(0)))\n'
            'os.write(1, b"here.")\nsignal.pause()']  # fmt: skip
    program = f'import subprocess, signal; subprocess.Popen({line!r}); signal.pause()'
    parent = subprocess.Popen([sys.executable, '-c', program], stdout=tells)
    os.close(tells)
    with os.fdopen(told, 'rb') as heard:
        assert heard.read(5) == b'here.'
        parent.send_signal(how)
        parent.wait()
        assert heard.read() == b'stopped'


def test_a_parent_that_died_too_early_for_the_kernel_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not parent_has_died()
    assert not holds_signals(os.getpid())
    monkeypatch.setenv(VARIABLE, str(os.getppid()))
    assert not parent_has_died()
    monkeypatch.setenv(VARIABLE, str(os.getpid()))
    assert parent_has_died()
