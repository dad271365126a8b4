# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.sim.driver import Driver, in_robot_order, joint_order
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.task import JOINT_NAMES

ONES = np.ones(7)


def test_setpoint_is_held_before_and_after_a_trajectory() -> None:
    driver = Driver(ONES)
    assert driver.setpoint(-5.0).tolist() == ONES.tolist()
    driver.follow(now_s=1.0, times_s=[2.0, 3.0], positions=[2 * ONES, 4 * ONES])
    assert driver.setpoint(1.0)[0] == 1.0
    assert driver.setpoint(1.5)[0] == 1.5
    assert driver.setpoint(2.5)[0] == 3.0
    assert driver.setpoint(99.0)[0] == 4.0


def test_new_trajectory_replaces_the_old_from_the_present_setpoint() -> None:
    driver = Driver(np.zeros(7))
    driver.follow(now_s=0.0, times_s=[1.0], positions=[ONES])
    driver.follow(now_s=0.5, times_s=[1.5], positions=[2.5 * ONES])
    assert driver.setpoint(0.5)[0] == pytest.approx(0.5)
    assert driver.setpoint(1.0)[0] == pytest.approx(1.5)
    driver.hold(0.25 * ONES)
    assert driver.setpoint(1.0)[0] == 0.25


def test_trajectory_that_began_in_the_past_is_joined_at_its_present() -> None:
    driver = Driver(np.zeros(7))
    driver.follow(now_s=10.0, times_s=[9.0, 11.0], positions=[ONES, 3 * ONES])
    assert driver.setpoint(10.0)[0] == pytest.approx(2.0)


@given(
    st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(0.05, 3.0), st.floats(0.0, 1.0)
)
def test_cubic_meets_positions_and_velocities_property(
    coefficients: list[float], span: float, share: float
) -> None:
    """Any cubic is reproduced from its end points and end velocities."""
    cubic = np.polynomial.Polynomial(coefficients)
    times = np.array([0.0, span])
    driver = Driver(np.zeros(7))
    driver.follow(
        now_s=0.0,
        times_s=times,
        positions=np.outer(cubic(times), ONES),
        velocities=np.outer(cubic.deriv()(times), ONES),
    )
    at = share * span
    assert driver.setpoint(at) == pytest.approx(cubic(at) * ONES, abs=1e-9)


def test_cubic_starts_with_the_present_velocity() -> None:
    driver = Driver(np.zeros(7))
    driver.follow(now_s=0.0, times_s=[1.0], positions=[ONES])
    driver.follow(now_s=0.5, times_s=[1.5], positions=[ONES], velocities=[0 * ONES])
    slope = (driver.setpoint(0.5 + 1e-6)[0] - driver.setpoint(0.5)[0]) / 1e-6
    assert slope == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ('times', 'positions', 'text'),
    [
        ([], np.zeros((0, 7)), 'one trajectory point or more'),
        ([1.0, 1.0], np.zeros((2, 7)), 'strictly increasing'),
        ([1.0], np.zeros((1, 6)), r'shape \(1, 7\), got \(1, 6\)'),
        ([1.0], np.full((1, 7), np.nan), 'finite positions'),
    ],
)
def test_bad_trajectory_is_refused_and_the_setpoint_kept(
    times: list[float], positions: np.ndarray, text: str
) -> None:
    driver = Driver(ONES)
    with pytest.raises(SimError, match=text):
        driver.follow(now_s=0.0, times_s=times, positions=positions)
    assert driver.setpoint(5.0).tolist() == ONES.tolist()


def test_joints_are_matched_by_name() -> None:
    names = list(reversed(JOINT_NAMES))
    rows = in_robot_order([[6, 5, 4, 3, 2, 1, 0]], joint_order(names), 'positions')
    assert rows.tolist() == [[0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(
    'names', [JOINT_NAMES[:6], (*JOINT_NAMES, 'joint_7'), ('joint_1',) * 7, ()]
)
def test_wrong_joint_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(SimError, match=r'each of the joints joint_1, .*gripper once, got'):
        joint_order(names)


def test_point_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(SimError, match='expected 7 velocities in each point, got 2'):
        in_robot_order([[1.0, 2.0]], joint_order(JOINT_NAMES), 'velocities')


def test_a_velocity_moves_the_setpoint_until_the_next_one_or_the_timeout() -> None:
    driver = Driver(np.zeros(7))
    driver.move(now_s=1.0, velocities=[1.0] * 7, for_s=0.1)
    assert driver.setpoint(1.05) == pytest.approx([0.05] * 7)
    driver.move(now_s=1.05, velocities=[-2.0] * 7, for_s=0.1)
    assert driver.setpoint(1.10) == pytest.approx([-0.05] * 7)
    assert driver.setpoint(9.0) == pytest.approx([-0.15] * 7), 'nobody said anything any more'
    with pytest.raises(SimError):
        driver.move(now_s=9.0, velocities=[np.nan] * 7, for_s=0.1)
    assert driver.setpoint(9.1) == pytest.approx([-0.15] * 7)
