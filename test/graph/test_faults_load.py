# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about too much of everything."""

from __future__ import annotations

from pathlib import Path

from harness import bc_runtime_log_storm
from harness.reaction import DT_S, goes_on, undisturbed
from harness.wire import NS
import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from bc_runtime.ros import qos

FLOOD_S = 4.0
STORM_S = 5.0
FLOOD_HZ = 10_000
_BURST = 50


@undisturbed
def test_row_45_flood_on_the_human_topics(moving, faults):
    w = moving.witness
    events = w.mark()
    button = w.node.create_publisher(Bool, 'takeover', qos.DATA)
    leader = w.node.create_publisher(JointState, 'teleop', qos.SENSOR)
    joints = JointState(name=list(moving.joints), position=[0.0] * len(moving.joints))
    missed, first, sent = w.status.missed_ticks, len(w.statuses), 0
    begin_ns = w.now_ns()
    while w.now_ns() - begin_ns < FLOOD_S * NS:
        if sent < FLOOD_HZ * (w.now_ns() - begin_ns) / NS:
            for _ in range(_BURST):
                button.publish(Bool(data=False))
                leader.publish(joints)
            sent += 2 * _BURST
        w.spin(0.0)
    w.watch(0.2)
    goes_on(moving, events)
    late_s = np.array([status.lateness for status in w.statuses[first:]])
    w.node.destroy_publisher(button)
    w.node.destroy_publisher(leader)
    p99_s = float(np.quantile(late_s, 0.99))
    faults.add(
        45,
        f'{sent / FLOOD_S:.0f} messages per second on the takeover and teleoperation topics',
        measured=f'tick lateness p99 {p99_s * 1e3:.2f} ms, '
        f'{w.status.missed_ticks - missed} ticks missed; the motion goes on',
        measured_s=p99_s,
        bound_s=0.2 * DT_S,
        state=w.state,
        report=moving.audit(),
    )


class TestLogStorm:
    """A deployment of which the controller logs in every callback."""

    @pytest.fixture
    def moving(self, deploy):
        """Start it and let it move."""
        return deploy(programs={'controller': Path(bc_runtime_log_storm.__file__)}).auto()

    @undisturbed
    def test_row_43_log_storm(self, moving, faults):
        w = moving.witness
        events = w.mark()
        missed, lines = w.status.missed_ticks, moving.log('controller').count('\n')
        w.watch(STORM_S)
        goes_on(moving, events)
        late = w.status.missed_ticks - missed
        lines = moving.log('controller').count('\n') - lines
        assert lines > 500, f'{lines} lines are no storm'
        ticks = round(STORM_S / DT_S)
        assert late <= 0.01 * ticks, f'{late} of {ticks} ticks missed'
        faults.add(
            43,
            'every callback of the controller logs, the root logger is taken over',
            measured=f'{lines / STORM_S:.0f} lines per second from the controller, {late} of '
            f'{ticks} ticks missed',
            state=w.state,
            report=moving.audit(),
        )
