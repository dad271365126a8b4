# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a driver makes of the points: the cubics between them, judged by formulas of their own."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.safety import JointLimits, Limiter, driver_points
from bc_runtime.spec import SafetyError

#: Rounding of sums of thousands of steps.
TINY = 1e-9


@dataclass(frozen=True)
class Cubic:
    """One piece between two points, as joint_trajectory_controller interpolates it, per joint."""

    span: float
    q0: np.ndarray
    v0: np.ndarray
    q1: np.ndarray
    v1: np.ndarray

    def extremes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return lowest and highest position, largest speed, and accelerations at both ends.

        Of a cubic c0 + c1·t + c2·t² + c3·t³ with the given ends; the acceleration is linear.
        """
        h, rise = self.span, self.q1 - self.q0
        c2 = (3 * rise / h - 2 * self.v0 - self.v1) / h
        c3 = (-2 * rise / h + self.v0 + self.v1) / h**2
        t = np.linspace(0.0, h, 33)[:, None]
        q = self.q0 + t * (self.v0 + t * (c2 + t * c3))
        v = self.v0 + t * (2 * c2 + t * 3 * c3)
        a = np.stack([2 * c2, 2 * c2 + 6 * c3 * h])
        return q.min(axis=0), q.max(axis=0), np.abs(v).max(axis=0), a


def pieces(points: object, start: tuple[np.ndarray, np.ndarray] | None, dt: float) -> list[Cubic]:
    """Return the cubics of one message, from where the driver was."""
    times = [0.0, *(np.array(points.times_s) + dt)] if start else list(points.times_s)
    q = [*([start[0]] if start else []), *map(np.array, points.positions)]
    v = [*([start[1]] if start else []), *map(np.array, points.velocities)]
    return [
        Cubic(times[k + 1] - times[k], q[k], v[k], q[k + 1], v[k + 1]) for k in range(len(q) - 1)
    ]


def judge(piece: Cubic, limits: list[JointLimits], *, slack: float = 1e-7) -> None:
    """Hold one cubic against the limits; it turns round with an acceleration between the two."""
    low, high, speed, ends = piece.extremes()
    for j, one in enumerate(limits):
        assert one.low - TINY <= low[j]
        assert high[j] <= one.high + TINY
        assert speed[j] <= one.velocity * (1.0 + slack)
        v0, v1 = piece.v0[j], piece.v1[j]
        most = max(one.acceleration, one.deceleration)
        if v0 * v1 >= 0.0:
            most = one.acceleration if abs(v1) > abs(v0) else one.deceleration
        blur = 64.0 * np.finfo(float).eps * max(abs(one.low), abs(one.high), 1.0) / piece.span**2
        assert np.abs(ends[:, j]).max() <= most * (1.0 + 1e-6) + blur


def joints(n: int, draw: st.DrawFn) -> list[JointLimits]:
    return [
        JointLimits(
            name=f'j{k}',
            lower=-draw(st.floats(0.05, 3.0)),
            upper=draw(st.floats(0.05, 3.0)),
            velocity=draw(st.floats(0.05, 3.0)),
            acceleration=draw(st.floats(0.5, 40.0)),
            deceleration=draw(st.floats(0.5, 40.0)),
        )
        for k in range(n)
    ]


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[JointLimits], float, list[list[float]]]:
    n = draw(st.sampled_from([1, 2, 7]))
    dt = 1.0 / draw(st.sampled_from([10.0, 50.0, 100.0, 200.0, 500.0]))
    place = st.floats(-4.0, 4.0)
    targets = draw(st.lists(st.lists(place, min_size=n, max_size=n), min_size=1, max_size=4))
    return joints(n, draw), dt, targets


@settings(deadline=None, max_examples=50)
@given(runs(), st.integers(1, 40), st.booleans())
def test_property_the_cubics_between_the_points_keep_all_limits(run, ticks, brake):
    """Also those of each braking tail, and those after a gap in which the tail was followed."""
    limits, dt, targets = run
    limiter = Limiter(limits, dt)
    limiter.seed([0.0] * len(limits))
    here = (np.zeros(len(limits)), np.zeros(len(limits)))
    for target in targets:
        for tick in range(ticks):
            step = limiter.brake() if brake and tick % 7 == 6 else limiter.step(target)
            points = driver_points(step.position, step.velocity, limits, dt)
            for piece in pieces(points, here, dt):
                judge(piece, limits)
            assert not np.any(points.velocities[-1])
            here = (np.array(points.positions[0]), np.array(points.velocities[0]))


@settings(deadline=None, max_examples=40)
@given(runs(), st.integers(1, 30))
def test_property_the_tail_is_where_the_limiter_brakes_to(run, ticks):
    """A driver that is left alone is, at each tick, where the limiter's brake would send it."""
    limits, dt, targets = run
    limiter = Limiter(limits, dt)
    limiter.seed([0.0] * len(limits))
    for _ in range(ticks):
        step = limiter.step(targets[0])
    points = driver_points(step.position, step.velocity, limits, dt)
    times, places = np.array(points.times_s), np.array(points.positions)
    tail = pieces(points, None, dt)
    k = 0
    while not limiter.at_rest:
        k += 1
        step = limiter.brake()
        want = np.array(driver_points(step.position, step.velocity, limits, dt).positions[0])
        at = min(int(np.searchsorted(times, k * dt - 1e-12)), len(times) - 1)
        if at == 0 or abs(times[at] - k * dt) < 1e-9:
            assert places[at] == pytest.approx(want, abs=1e-9)
            continue
        piece = tail[at - 1]
        u = k * dt - times[at - 1]
        h, rise = piece.span, piece.q1 - piece.q0
        c2 = (3 * rise / h - 2 * piece.v0 - piece.v1) / h
        c3 = (-2 * rise / h + piece.v0 + piece.v1) / h**2
        assert piece.q0 + u * (piece.v0 + u * (c2 + u * c3)) == pytest.approx(want, abs=1e-9)
    assert places[-1] == pytest.approx(np.array(limiter.position), abs=1e-9)


@pytest.mark.parametrize(
    ('rate', 'vmax', 'a'), [(200.0, 2.5, 40.0), (100.0, 1.0, 5.0), (10.0, 0.5, 1.0)]
)
def test_a_run_to_the_limit_asks_for_no_more_than_the_limits(rate, vmax, a):
    """Regressions pinned: velocities were those of the period before the point.

    A cubic through them was asked for -2 to +4 times the acceleration limit in each period, and
    overshot the stop.
    """
    limits = [
        JointLimits(name='a', lower=-1.0, upper=1.0, velocity=vmax, acceleration=a, deceleration=a)
    ]
    limiter = Limiter(limits, 1.0 / rate)
    limiter.seed([0.0])
    here = (np.zeros(1), np.zeros(1))
    for _ in range(int(3 * rate)):
        step = limiter.step([5.0])
        points = driver_points(step.position, step.velocity, limits, 1.0 / rate)
        for piece in pieces(points, here, 1.0 / rate):
            judge(piece, limits)
        here = (np.array(points.positions[0]), np.array(points.velocities[0]))
    assert here[0] == pytest.approx(1.0, abs=1e-6)


def test_a_message_holds_at_most_two_points_for_each_joint_besides_the_command():
    limits = [
        JointLimits(name=f'j{k}', lower=-9.0, upper=9.0, velocity=1.0 + 0.1 * k, acceleration=1.0,
                    deceleration=1.0 + 0.3 * k)
        for k in range(7)
    ]  # fmt: skip
    velocity = [0.1 + 0.13 * k for k in range(7)]
    points = driver_points([0.0] * 7, velocity, limits, 0.01)
    assert len(points.times_s) <= 1 + 2 * 7
    at_rest = driver_points([0.5] * 7, [0.0] * 7, limits, 0.01)
    assert at_rest.times_s == (0.0,)
    assert at_rest.positions == ((0.5,) * 7,)


def test_what_no_tail_can_begin_with_is_refused():
    one = [JointLimits(name='a', lower=-1.0, upper=1.0, velocity=1.0, acceleration=1.0,
                       deceleration=1.0)]  # fmt: skip
    with pytest.raises(SafetyError, match='cannot brake'):
        driver_points([float('nan')], [0.0], one, 0.01)
    with pytest.raises(SafetyError, match='needs 1 positions'):
        driver_points([0.0, 1.0], [0.0], one, 0.01)
