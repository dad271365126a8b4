# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about too much of everything."""

from __future__ import annotations

from harness.reaction import goes_on, undisturbed
from harness.wire import NS
import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from bc_runtime.ros import qos

FLOOD_S = 2.0
FLOOD_HZ = 10_000
_BURST = 50


@undisturbed
def test_row_45_flood_on_the_human_topics(moving, faults):
    w = moving.witness
    events = len(w.events)
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
    w.ticks(20)
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
        # Not judged: on a busy machine the figure is about the machine.
        state=w.state,
        report=moving.audit(),
    )
