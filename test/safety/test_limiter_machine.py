# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The limiter as a state machine: any order of any calls, shrunk by hypothesis when one fails."""

from __future__ import annotations

from dataclasses import replace
import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bc_runtime.safety import Checker, JointLimits, Limiter, LimiterStep, braking_tail

DT = 0.01
BASE = [
    JointLimits(name='a', lower=-1.5, upper=1.5, velocity=2.0, acceleration=10.0,
                deceleration=15.0, margin=0.02),
    JointLimits(name='b', lower=0.0, upper=0.09, velocity=0.5, acceleration=8.0, deceleration=8.0),
    JointLimits(name='c', velocity=3.0, acceleration=20.0, deceleration=30.0, continuous=True),
]  # fmt: skip
wild = st.one_of(
    st.floats(-3.0, 3.0), st.sampled_from([math.nan, math.inf, -math.inf, 1e9, -1e9, 1e308])
)
three = st.tuples(wild, wild, wild)


class LimiterMachine(RuleBasedStateMachine):
    """Calls in any order; after each one the checker judges what would have been sent."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = list(BASE)
        self.last: LimiterStep | None = None

    @initialize(
        coordinated=st.booleans(), a=st.floats(-1.48, 1.48), b=st.floats(0.0, 0.09),
        c=st.floats(-9.0, 9.0),
    )  # fmt: skip
    def begin(self, coordinated: bool, a: float, b: float, c: float) -> None:
        self.limiter = Limiter(self.limits, DT, coordinated=coordinated)
        self.checker = Checker(self.limits, DT)
        self.limiter.seed([a, b, c])
        self.checker.seed([a, b, c])

    def judge(self, step: LimiterStep) -> None:
        verdict = self.checker.check(step.position)
        assert verdict.ok, verdict
        assert len(step.velocity) == len(step.flags) == 3
        self.last = step

    @rule(q=three, v=three, times=st.integers(1, 30))
    def follow(self, q: tuple[float, ...], v: tuple[float, ...], times: int) -> None:
        for _ in range(times):
            self.judge(self.limiter.step(q, v))

    @rule(q=three, times=st.integers(1, 60))
    def go(self, q: tuple[float, ...], times: int) -> None:
        for _ in range(times):
            self.judge(self.limiter.step(q))

    @rule(v=three, times=st.integers(1, 60))
    def drive(self, v: tuple[float, ...], times: int) -> None:
        for _ in range(times):
            self.judge(self.limiter.step_velocity(v))

    @rule(times=st.integers(1, 20))
    def brake(self, times: int) -> None:
        for _ in range(times):
            self.judge(self.limiter.brake())

    @rule(values=st.sampled_from([None, [], [0.0], 'abc', [None] * 3]))
    def send_nonsense(self, values: object) -> None:
        self.judge(self.limiter.step(values))  # type: ignore[arg-type]

    @rule()
    def refuse_a_step_and_brake(self) -> None:
        before = (self.limiter.position, self.limiter.velocity)
        self.limiter.step([1.0, 0.05, 0.0])
        self.limiter.rollback()
        assert (self.limiter.position, self.limiter.velocity) == before
        self.judge(self.limiter.brake())

    @rule()
    def stop_and_seed_elsewhere(self) -> None:
        for _ in range(60):
            self.judge(self.limiter.brake())
        assert self.limiter.at_rest
        start = [0.3, 0.02, 1.0]
        self.limiter.seed(start)
        self.checker.seed(start)
        self.last = None

    @rule(
        vmax=st.floats(0.1, 1.0), accel=st.floats(0.1, 1.0), decel=st.floats(0.2, 2.0),
        joint=st.integers(0, 2),
    )  # fmt: skip
    def change_limits(self, vmax: float, accel: float, decel: float, joint: int) -> None:
        one = BASE[joint]
        self.limits[joint] = replace(
            one,
            velocity=one.velocity * vmax,
            acceleration=one.acceleration * accel,
            deceleration=one.deceleration * decel,
        )
        self.limiter.set_limits(self.limits)
        self.checker.set_limits(self.limits)

    @invariant()
    def tail_ends_inside(self) -> None:
        if self.last is None or self.limits != BASE:
            return
        tail = braking_tail(self.last.position, self.last.velocity, self.limits, DT)
        for q, one in zip(tail.positions[-1], self.limits, strict=True):
            assert one.low - 1e-9 <= q <= one.high + 1e-9


TestLimiterMachineProperty = LimiterMachine.TestCase
TestLimiterMachineProperty.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
