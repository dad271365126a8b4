# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Who steps forward and who steps back, as the system tells it; each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bc_runtime.ros import inference_parameters, scheduling

_TELL = """
import os, pathlib, threading
from bc_runtime.ros import scheduling
idle = threading.Event()
thread = threading.Thread(target=idle.wait)
thread.start()
answer = {call}
niceness = {{os.getpriority(os.PRIO_PROCESS, int(each)) for each in os.listdir('/proc/self/task')}}
group = pathlib.Path('/proc/self/autogroup')
words = group.read_text().split() if group.exists() else []
print(answer, sorted(niceness), words[-1] if words else '-')
idle.set()
"""


def told(call: str) -> str:
    """Return what a process of a session of its own says of itself after `call`."""
    return subprocess.run(
        [sys.executable, '-c', _TELL.format(call=call)],
        stdout=subprocess.PIPE, text=True, check=True, start_new_session=True, timeout=60.0,
    ).stdout.strip()  # fmt: skip


def permitted() -> bool:
    """Return whether this user may ask for more than others."""
    return told('scheduling.step_forward()').startswith('True')


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason='needs two cores')
def test_a_process_steps_forward_with_all_its_threads_and_its_session() -> None:
    if not permitted():
        pytest.skip('no permission for a negative niceness')
    assert told('scheduling.step_forward()') in ('True [-10] -10', 'True [-10] -')


@pytest.mark.parametrize('threads', [0, len(os.sched_getaffinity(0)), 64])
def test_what_may_take_every_core_does_not_step_forward(threads: int) -> None:
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    assert told(f'scheduling.step_forward(threads={threads})').startswith(f'False [{niceness}]')


def test_without_permission_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(scheduling.os, 'sched_getaffinity', lambda _: set(range(4)))
    monkeypatch.setattr(scheduling.os, 'setpriority', refuse)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert scheduling.step_forward() is False
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_the_recorder_steps_back() -> None:
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        pytest.skip('these tests run with a niceness of their own')
    assert told('scheduling.step_back()').split()[-1] in ('5', '-')


@pytest.mark.parametrize(('role', 'asked'), [('active', [2]), ('shadow', [])])
def test_only_inference_that_acts_steps_forward(
    role: str, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {'role': role, 'threads': 2}
    node = SimpleNamespace(get_parameter=lambda name: SimpleNamespace(value=values[name]))
    found: list[int] = []
    monkeypatch.setattr(
        inference_parameters, 'step_forward', lambda *, threads: found.append(threads)
    )
    assert inference_parameters.preferred(node) is node
    assert found == asked
