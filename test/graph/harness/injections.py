# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of the matrix that can be given to a moving deployment and taken away again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import dataclass
import signal
from typing import Any

from std_msgs.msg import Bool, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from bc_runtime.ros import qos
from harness import policies, robots
from harness.deployment import DeploymentUnderTest
from harness.robots import DT_S
from harness.wire import NS

Inject = Callable[[DeploymentUnderTest], int]
Undo = Callable[[DeploymentUnderTest], None]

#: What the plan of a chunk lasts [s].
HORIZON_S = policies.CHUNK / policies.CONTROL_HZ
#: A message's way through one process on two busy cores [s]; the rows' own tests are stricter.
WAY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One fault.

    Attributes:
        row: Of the fault matrix.
        name: In words.
        inject: Does it and returns when, monotonic clock [ns].
        undo: Takes it away; what `DeploymentUnderTest.calm` undoes needs none.
        codes: Reasons of which one must stop the robot; empty: it must go on.
        states: States in which it may end.
        bound_s: From the injection to the first braking command [s].
    """

    row: int
    name: str
    inject: Inject
    undo: Undo = lambda _deployment: None
    codes: tuple[str, ...] = ()
    states: tuple[str, ...] = ('HELD',)
    bound_s: float | None = None


def _simulator(**values: Any) -> Inject:
    return lambda d: d.fault(**values)


def _say(text: str) -> Inject:
    return lambda d: d.say(text)


def _chunk(count: int, spoil: Callable[[Any], None]) -> Inject:
    """Publish copies of the newest chunk, spoilt, as if they were new."""

    def inject(d: DeploymentUnderTest) -> int:
        w = d.witness
        spoilt = [copy.deepcopy(w.chunks[-1]) for _ in range(count)]
        at_ns = w.now_ns()
        for k, msg in enumerate(spoilt):
            msg.sequence += 1000 + k
            msg.header.stamp = w.node.get_clock().now().to_msg()
            spoil(msg)
        for msg in spoilt:  # at once, before the next good chunk
            w.chunk_publisher.publish(msg)
        return at_ns

    return inject


def _repeat(d: DeploymentUnderTest) -> int:
    """Publish the newest chunk once more, as it was."""
    at_ns = d.witness.now_ns()
    d.witness.chunk_publisher.publish(d.witness.chunks[-1])
    return at_ns


def _nan(msg: Any) -> None:
    msg.values[3] = float('nan')


def _old_epoch(msg: Any) -> None:
    msg.epoch -= 1
    msg.values = [value + 0.5 for value in msg.values]


def _too_short(msg: Any) -> None:
    msg.steps -= 1


def _hold_up(seconds: float) -> Inject:
    """Suspend the controller for a while; the time counts from when it goes on."""

    def inject(d: DeploymentUnderTest) -> int:
        w = d.witness
        d.suspend('controller')
        begin = w.joint_states[-1][0]
        w.until(lambda: w.joint_states[-1][0] - begin > seconds * NS, 'joint states')
        return d.resume('controller')

    return inject


def _estop(d: DeploymentUnderTest) -> int:
    at_ns = d.witness.now_ns()
    d.witness.estop.publish(Bool(data=True))
    return at_ns


def _killed(name: str, number: signal.Signals = signal.SIGKILL) -> Inject:
    return lambda d: d.signal(name, number)


def _restarted(name: str) -> Undo:
    return lambda d: d.restart(name)


class _OnTopic:
    """A publisher that appears with the fault and goes with it."""

    def __init__(self, kind: Any, topic: str, bad: Any = None, good: Any = None) -> None:
        self._kind, self._topic, self._bad, self._good = kind, topic, bad, good
        self._publisher: Any = None

    def inject(self, d: DeploymentUnderTest) -> int:
        w = d.witness
        at_ns = w.now_ns()
        self._publisher = w.node.create_publisher(self._kind, self._topic, qos.DATA)
        if self._bad is not None:
            w.until(lambda: self._publisher.get_subscription_count() > 0, 'a listener')
            at_ns = w.now_ns()
            self._publisher.publish(self._bad)
        return at_ns

    def undo(self, d: DeploymentUnderTest) -> None:
        if self._good is not None:
            self._publisher.publish(self._good)
            d.witness.watch(0.1)
        d.witness.node.destroy_publisher(self._publisher)
        d.witness.watch(0.6)  # the controller looks for commanders twice a second


def _refused_parameter(d: DeploymentUnderTest) -> int:
    at_ns = d.witness.now_ns()
    if not d.witness.try_parameters('controller', {'strategy': 'latest'}):
        raise AssertionError('a parameter was changed in motion')
    return at_ns


#: What a robot that takes velocities does not have: its tracking is not watched, and a jump of a
#: velocity is a velocity, which the limiter cuts.
NOT_BY_VELOCITIES = ('joint states freeze', 'the policy jumps', 'the drives are blocked')


def catalogue(*, velocities: bool = False) -> Sequence[Injection]:
    """Return the faults; each may be given again and again.

    Args:
        velocities: For the robot that takes velocities.
    """
    return [one for one in _all(velocities) if not velocities or one.name not in NOT_BY_VELOCITIES]


def _all(velocities: bool) -> Sequence[Injection]:
    both = ['front', 'wrist']
    commander = (
        _OnTopic(Float64MultiArray, 'velocity_commands')
        if velocities
        else _OnTopic(JointTrajectory, 'joint_trajectory')
    )
    stopped = _OnTopic(Bool, 'robot_stopped', Bool(data=True), Bool(data=False))
    hole = ('COVERAGE_HOLE', 'OBSERVATION_STALE')
    after_plan = ('HELD', 'ALIGN')
    late = ('TICK_STALLED', 'JOINT_STATES_STALE')
    camera = ('CAMERA_STALE', 'OBSERVATION_STALE')
    blocked = ('JOINT_BLOCKED', 'TRACKING_ERROR')
    driver = ('JOINT_STATES_STALE',)
    make = Injection
    return (
        make(row=1, name='a camera stops', inject=_simulator(camera='stop', cameras=['front']),
             codes=camera, bound_s=0.26 + WAY_S + 1 / 30),
        make(row=2, name='cameras freeze', inject=_simulator(camera='freeze', cameras=both),
             codes=('CAMERA_FROZEN',), bound_s=0.5 + WAY_S),
        make(row=4, name='cameras turn black', inject=_simulator(camera='black', cameras=both),
             codes=('CAMERA_DARK',), bound_s=1.3 + WAY_S),
        make(row=5, name='joint states stop', inject=_simulator(joints='stop'),
             codes=driver, bound_s=0.11 + WAY_S),
        make(row=6, name='joint states freeze', inject=_simulator(joints='freeze'),
             codes=('JOINT_STATES_FROZEN', 'TRACKING_ERROR'), states=('FAULT',),
             bound_s=0.3 + WAY_S),
        make(row=7, name='a chunk is repeated', inject=_repeat),
        make(row=12, name='a chunk with NaN', inject=_chunk(1, _nan)),
        make(row=12, name='only NaN', inject=_say(policies.SAY_NAN), states=after_plan,
             codes=('COVERAGE_HOLE', 'CHUNKS_REJECTED'), bound_s=HORIZON_S + WAY_S),
        make(row=13, name='the policy jumps', inject=_say(policies.JUMP), states=after_plan,
             codes=('COVERAGE_HOLE', 'CHUNKS_REJECTED'), bound_s=HORIZON_S + WAY_S),
        # Three in a row are a fault. The policy goes on meanwhile: one good chunk among the six
        # leaves three on one side.
        make(row=14, name='chunks of a wrong shape', inject=_chunk(6, _too_short),
             codes=('CHUNKS_MALFORMED',), states=('FAULT',), bound_s=2 * DT_S + WAY_S),
        make(row=15, name='inference is slow', inject=_say(policies.THINK_LONG),
             codes=hole, states=after_plan, bound_s=HORIZON_S + WAY_S),
        make(row=16, name='inference dies', inject=_killed('inference'),
             undo=_restarted('inference'), codes=hole, states=after_plan,
             bound_s=HORIZON_S + WAY_S),
        make(row=17, name='inference hangs', inject=lambda d: d.suspend('inference'),
             codes=hole, states=after_plan, bound_s=HORIZON_S + WAY_S),
        make(row=18, name='the policy raises', inject=_say(policies.RAISE),
             codes=(*hole, 'POLICY_FAILED'), states=(*after_plan, 'FAULT'),
             bound_s=HORIZON_S + WAY_S),
        make(row=22, name='emergency stop', inject=_estop, codes=('ESTOP',), states=('ESTOP',),
             bound_s=2 * DT_S + WAY_S),
        make(row=24, name='a chunk of an older epoch', inject=_chunk(1, _old_epoch)),
        make(row=27, name='the controller is late', inject=_hold_up(0.05)),
        make(row=27, name='the controller stalls', inject=_hold_up(0.3), codes=late,
             bound_s=2 * DT_S + WAY_S),
        make(row=28, name='the controller dies', inject=_killed('controller'),
             undo=_restarted('controller'), states=('',)),
        make(row=30, name='the driver hangs', inject=lambda d: d.suspend('sim_robot'),
             codes=driver, bound_s=0.11 + WAY_S),
        make(row=30, name='the driver dies', inject=_killed('sim_robot'),
             undo=_restarted('sim_robot'), codes=driver, bound_s=0.11 + WAY_S),
        make(row=31, name='the drives are blocked', inject=_simulator(actuation='stuck'),
             codes=blocked, states=('FAULT',), bound_s=0.3 + robots.STALL_S + WAY_S),
        make(row=32, name='the robot stops itself', inject=stopped.inject, undo=stopped.undo,
             codes=('ROBOT_STOPPED',), bound_s=2 * DT_S + WAY_S),
        make(row=34, name='another commander', inject=commander.inject, undo=commander.undo,
             codes=('DUPLICATE_COMMANDER',), bound_s=1.02 + WAY_S),
        make(row=35, name='a parameter is set in motion', inject=_refused_parameter),
        make(row=38, name='SIGTERM to the controller',
             inject=_killed('controller', signal.SIGTERM), undo=_restarted('controller'),
             states=('',)),
    )  # fmt: skip
