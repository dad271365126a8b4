# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The controller node's own tick, with whatever is around the loop raising in turn."""

from __future__ import annotations

from dataclasses import dataclass
import threading
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from test_failed_ticks import WheelRig, broken
from test_silence import DT, GapRig, finish, in_motion

from bc_runtime.control import TickResult
from bc_runtime.ros.controller_node import ControllerNode
from bc_runtime.ros.tick_thread import Tick
from bc_runtime.safety import State

#: Where a tick may raise, in order; only `report` comes after the driver got its command.
PLACES = ('clocks', 'loop', 'limiter share', 'make', 'send', 'report')


class Node(ControllerNode):
    """The node's tick without a node: what it is made of is put in from outside."""

    def __init__(self, rig: NodeRig | NodeWheels) -> None:
        self._lock = threading.Lock()
        self._loop = rig.loop
        self._wanted = self._dry_run = False
        self._deadline = -1
        self._result = None
        self._resting = threading.Event()
        self._output = SimpleNamespace(make=lambda command: command, send=rig.send)
        self._clocks = SimpleNamespace(
            read=lambda: (rig.t, rig.t, rig.t), went_back=False, simulated=False
        )
        self._report = SimpleNamespace(publish=lambda result, *_, **__: rig.results.append(result))

    def get_logger(self) -> MagicMock:
        return MagicMock()


class NodeTicks:
    """A rig whose ticks are those of the node; its monotonic clock is the rig's."""

    def begin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = Node(self)
        self.index = 0
        monkeypatch.setattr('bc_runtime.ros.controller_node.time.monotonic_ns', lambda: self.t)

    def send(self, command: object) -> None:
        self.take(command, self.t)

    def step(self) -> TickResult | None:
        if not hasattr(self, 'node'):
            return super().step()
        self.pass_time()
        while self.waiting:
            self.loop.on_joint_state(['a', 'b'], self.waiting.pop(0), arrival_ns=self.t)
        self.loop.on_observation(valid=True, reasons=(), arrival_ns=self.t)
        if self.results[-1].accepting:
            self.loop.on_chunk(self.chunk(stamp_ns=self.t - DT))
        self.node._tick(Tick(due_ns=self.t, late_ns=0, index=self.index, missed=0))
        self.index += 1
        return self.results[-1]

    def break_at(self, place: str, patch: pytest.MonkeyPatch) -> None:
        where = {
            'clocks': (self.node._clocks, 'read'),
            'loop': (self.loop.plan, 'at'),
            'limiter share': (self.loop._limiter_share, 'note'),
            'make': (self.node._output, 'make'),
            'send': (self.node._output, 'send'),
            'report': (self.node._report, 'publish'),
        }
        patch.setattr(*where[place], broken)


@dataclass
class NodeRig(NodeTicks, GapRig):
    """A driver that follows trajectories."""


@dataclass
class NodeWheels(NodeTicks, WheelRig):
    """A driver that follows velocities."""


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('ticks', [1, 3, 12])
def test_whatever_raises_around_the_loop_the_driver_is_not_pulled_back(monkeypatch, place, ticks):
    """Regressions pinned: neither limiter nor silence knew what had not been sent."""
    rig = in_motion(NodeRig())
    rig.begin(monkeypatch)
    rig.run(0.1)
    with monkeypatch.context() as patch:
        rig.break_at(place, patch)
        rig.run(ticks / 100)
    finish(rig)
    rig.run(1.5)
    rig.judge()
    last = rig.results[-1]
    assert (last.state, last.stop_code) == (State.FAULT, 'INTERNAL_ERROR')
    assert last.command is not None
    assert not any(last.command.velocity)


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('ticks', [1, 3, 12])
def test_a_driver_of_velocities_is_braked_by_what_it_has(monkeypatch, place, ticks):
    """It moves on with its last velocity; braking begins from there, tick by tick or later."""
    rig = in_motion(NodeWheels())
    rig.begin(monkeypatch)
    rig.run(0.1)
    with monkeypatch.context() as patch:
        rig.break_at(place, patch)
        rig.run(ticks / 100)
    rig.run(1.5)
    assert rig.results[-1].stop_code == 'INTERNAL_ERROR'
    assert np.abs(np.diff(rig.velocities, axis=0)).max() <= 2.0 * 0.01 + 1e-9
    assert not any(rig.velocities[-1])
