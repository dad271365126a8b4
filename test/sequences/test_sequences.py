# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences of events, written down and drawn at random, in which the invariants must hold.

What must hold is in `sequence_oracle.py`, what may happen in `sequence_world.py`, and how
sequences are drawn and made short in `sequence_fuzz.py`. `BC_SEQUENCE_TICKS` sets the number of
ticks (default 1,000,000; `make soak-core` takes ten times that), `BC_SEQUENCE_SEED` the first
seed.
"""

from __future__ import annotations

from collections.abc import Iterable
import math
import os

import pytest
from sequence_fuzz import BEGIN, SETUPS, explore
from sequence_robot import Setup
from sequence_world import Word, World, replay

TICKS = int(os.environ.get('BC_SEQUENCE_TICKS', '100000'))
SEED = int(os.environ.get('BC_SEQUENCE_SEED', '0'))

TRAJECTORY = Setup(kind='trajectory', joints=2, rate=100.0)
SET_POINT = Setup(kind='set-point', joints=2, rate=100.0)
VELOCITY = Setup(kind='velocity', joints=2, rate=100.0)
TWIST = Setup(kind='twist', joints=2, rate=100.0)
JERK = Setup(kind='trajectory', joints=2, rate=100.0, jerk=True)
SIMULATED = Setup(kind='trajectory', joints=2, rate=100.0, simulated=True)
PLACES = (TRAJECTORY, SET_POINT, JERK)
RATES = (VELOCITY, TWIST)
ALL = (*PLACES, *RATES, SIMULATED)

READY: tuple[Word, ...] = (('wait', 60), *BEGIN, ('until', 'READY'))
AUTO: tuple[Word, ...] = (
    *READY, ('plan', 'still'), ('post', 'START'), ('until', 'AUTO'), ('plan', 'sway'),
    ('wait', 40),
)  # fmt: skip
REVIVE: tuple[Word, ...] = (
    ('post', 'RESET'),
    ('wait', 150),
    ('post', 'START'),
    ('post', 'RESUME'),
)
WORLDS = range(2)


def each(setups: Iterable[Setup]) -> pytest.MarkDecorator:
    """Try the sequence with each of these robots, in several worlds."""
    cases = [pytest.param(one, seed, id=f'{one.name}-{seed}') for one in setups for seed in WORLDS]
    return pytest.mark.parametrize(('setup', 'seed'), cases)


def length(setup: Setup, seed: int, begin: Iterable[Word], code: str) -> int:
    """Return after how many ticks a transition comes, counted from the end of a sequence."""
    world = replay(setup, seed, [*begin])
    for ticks in range(1, 1000):
        world.act(('wait', 1))
        if any(one.code == code for one in world.result.transitions):
            return ticks
    raise AssertionError(f'{code} never came')


#: Longest part of the ticks in one test: a test that takes minutes looks like one that hangs.
PART = 0.025
PARTS = [
    pytest.param(setup, share / parts, SEED + 1000 * part, id=f'{setup.name}-{part}')
    for share, setup in SETUPS
    for parts in [math.ceil(share / PART - 1e-9)]
    for part in range(parts)
]


@pytest.mark.parametrize(('setup', 'share', 'seed'), PARTS)
def test_property_the_invariants_hold_in_every_sequence(setup, share, seed):
    ticks = 0
    while ticks < share * TICKS:
        ticks += explore(setup, seed).ticks
        seed += 1


# Faults that were found, as the sequences that showed them ---------------------------------------


@each(ALL)
def test_a_short_protective_stop_in_the_tick_in_which_the_plan_ends_is_not_lost(setup, seed):
    """Regressions pinned: COVERAGE_HOLE alone acted, and the next chunk brought AUTO back."""
    begin = [*AUTO, ('plan', 'off')]
    hole = length(setup, seed, begin, 'COVERAGE_HOLE')
    for early in (1, 0, -1):
        pulse = [('stopped', True), ('stopped', False), ('wait', 1)]
        world = replay(
            setup, seed, [*begin, ('wait', hole - early), *pulse, ('plan', 'sway'), ('wait', 200)]
        )
        assert world.loop.state == 'HELD'


@each(RATES)
@pytest.mark.parametrize('ticks', [1, 2, 5, 8])
def test_a_reset_while_velocities_are_braked_leaves_none_in_the_driver(setup, seed, ticks):
    """Regressions pinned: the seed after a reset counted as rest, and silence began in motion."""
    stop = [('estop', True), ('wait', 1), ('estop', False), ('wait', ticks - 1)]
    back = [('post', 'RESET'), ('wait', 1), ('joints', True), ('wait', 150)]
    for ways in ([], [('post', 'DEACTIVATE'), ('post', 'ACTIVATE')]):
        replay(setup, seed, [*AUTO, ('joints', False), *stop, *ways, *back])


@each(ALL)
@pytest.mark.parametrize('where', ['deciding', 'making', 'sending', 'leaving', 'braking'])
@pytest.mark.parametrize('ticks', [1, 20])
def test_ticks_that_fail_neither_pull_the_driver_back_nor_leave_it_moving(
    setup, seed, where, ticks
):
    """Regressions pinned: a tick that raised counted neither as missed nor as silent."""
    other = [('fail', 'making', ticks)] if where == 'braking' else []
    failing = [*other, ('fail', where, ticks), ('wait', ticks + 20)]
    replay(setup, seed, [*AUTO, *failing, *REVIVE, ('wait', 100)])


@each(PLACES)
def test_a_plan_that_is_back_while_the_robot_brakes_is_no_violation(setup, seed):
    """Regressions pinned: with bounded jerk, ALIGN's lower limits met a robot at speed."""
    begin = [*AUTO, ('plan', 'off')]
    hole = length(setup, seed, begin, 'COVERAGE_HOLE')
    for ticks in (1, 3, 9):
        world = replay(
            setup, seed, [*begin, ('wait', hole + ticks), ('plan', 'still'), ('wait', 200)]
        )
        assert world.loop.state in ('ALIGN', 'AUTO')


@each((TRAJECTORY, SET_POINT))
@pytest.mark.parametrize('before', ['an activation', 'a reset'])
def test_a_robot_that_is_moved_before_it_was_ever_told_where_to_be_is_not_pulled_back(
    setup, seed, before
):
    """Regressions pinned: a command that was seeded and never sent counted as the last one.

    A robot that was moved by less than 0.05 after it jumped back to where it was measured before.
    """
    begin = READY
    if before == 'a reset':
        stop = [('estop', True), ('wait', 2), ('estop', False), ('wait', 100), ('post', 'RESET')]
        begin = (*AUTO, *stop, ('until', 'READY'))
    shove = [('plan', 'still'), ('shove', -0.03), ('wait', 50)]
    replay(setup, seed, [*begin, *shove, ('post', 'START'), ('until', 'AUTO')])


@each((*PLACES, SIMULATED))
@pytest.mark.parametrize('by', [0.3, -0.4])
def test_a_fault_holds_no_place_while_it_is_not_certain_where_the_robot_is(setup, seed, by):
    """A robot is put elsewhere at once, which is not believed yet, and a tick fails.

    What was believed before was then held, and the driver pulled the robot back.
    """
    world = replay(setup, seed, [*READY, ('shove', by), ('wait', 3)])
    put = list(world.q)
    world.act(('fail', 'deciding', 1))
    world.act(('wait', 100))
    assert world.loop.state == 'FAULT'
    assert world.q == pytest.approx(put, abs=0.01)


@each(PLACES)
@pytest.mark.parametrize('kind', ['zero', 'other', 'nan', 'part'])
def test_a_wrong_joint_state_at_a_start_moves_the_robot_nowhere(setup, seed, kind):
    """Regressions pinned: a failed read of the bus as `start` was called made it jump there."""
    stop = [*AUTO, ('wait', 100), ('post', 'STOP'), ('wait', 150)]
    for before in (0, 1, 3):
        start = [('glitch', kind), ('wait', before), ('post', 'START'), ('wait', 150)]
        replay(setup, seed, [*stop, *start])


@each((*PLACES, VELOCITY))
@pytest.mark.parametrize('kind', ['zero', 'other', 'nan'])
def test_one_wrong_joint_state_in_motion_is_bridged_and_several_stop_the_robot(setup, seed, kind):
    """Regressions pinned: they raised no flag and reached the policy."""
    world = replay(setup, seed, [*AUTO, ('wait', 50), ('glitch', kind), ('wait', 100)])
    assert world.loop.state == 'AUTO'
    words = [('glitch', kind)] * 30
    world = replay(setup, seed, [*AUTO, ('wait', 50), *words, ('joints_every', 1), ('wait', 25)])
    assert world.loop.state not in ('ALIGN', 'AUTO', 'SLOW')


@each((TRAJECTORY, TWIST))
def test_a_policy_of_three_hertz_gets_the_robot(setup, seed):
    """Regressions pinned: observations came every 0.33 s, and 0.3 s was allowed."""
    replay(setup, seed, [('swap', 2), *AUTO])


@each(PLACES)
def test_a_swap_to_other_kinds_of_actions_is_executed_once_the_old_plan_has_ended(setup, seed):
    """Regressions pinned: its chunks stayed incompatible for the rest of the epoch."""
    if setup.jerk:
        pytest.skip('the jerk stage takes no velocities')
    world = replay(setup, seed, [*AUTO, ('swap', 4), ('wait', 400)])
    assert world.loop.state == 'AUTO'
    assert any(world.loop.plan.at(world.ros, ahead_ns=0).rates)


@each(ALL)
def test_a_chunk_stamped_in_the_future_is_refused_and_the_right_ones_go_on(setup, seed):
    """Regressions pinned: every right chunk after it was dropped without being counted."""
    world = replay(setup, seed, [*AUTO, ('chunk', 'future'), ('wait', 200)])
    assert world.loop.state == 'AUTO'
    assert world.result.observation_age_s < 0.5


@each((TRAJECTORY, SET_POINT, VELOCITY, TWIST))
@pytest.mark.parametrize('step_ms', [-3000, -400, 400, 3000])
def test_a_resume_after_a_clock_step_in_handback_begins_a_new_plan(setup, seed, step_ms):
    """Regressions pinned: it was stuck until the clock had caught up, with an old plan then."""
    words = [
        *READY, ('plan', 'still'), ('hold', 'moving'), ('until', 'HUMAN'), ('wait', 50),
        ('let_go',), ('wait', 60),
        ('clock', step_ms), ('wait', 150), ('post', 'RESUME'), ('wait', 1), ('until', 'AUTO', 400),
    ]  # fmt: skip
    replay(setup, seed, words)


@each(ALL)
@pytest.mark.parametrize('ticks', [1, 3, 10])
def test_who_deactivates_gets_it_whatever_is_pressed_meanwhile(setup, seed, ticks):
    """Regressions pinned: an emergency stop while it braked made the deactivation forgotten."""
    stop = [('estop', True), ('wait', 5), ('estop', False), ('wait', 100)]
    world = replay(setup, seed, [*AUTO, ('post', 'DEACTIVATE'), ('wait', ticks), *stop])
    assert world.loop.state == 'INACTIVE'
    world.act(('post', 'ACTIVATE'))
    world.act(('wait', 3))
    assert world.loop.state == 'ESTOP'


@each((SIMULATED,))
@pytest.mark.parametrize('policy', [0, 4])
def test_a_robot_stands_while_its_clock_does(setup, seed, policy):
    """Regressions pinned: the command drifted past the set-point."""
    replay(setup, seed, [('swap', policy), *AUTO, ('pause', 300), ('wait', 400)])


@each((VELOCITY,))
@pytest.mark.parametrize('every', [1, 4, 8])
def test_velocities_respect_position_limits_with_slow_joint_states(setup, seed, every):
    """Regressions pinned: the known age of the joint state was not counted."""
    replay(setup, seed, [('joints_every', every), *AUTO, ('plan', 'edge'), ('wait', 900)])


def test_the_same_words_make_the_same_world():
    words = [*AUTO, ('skip', 3), ('estop', True), ('wait', 20)]
    first, second = (replay(TRAJECTORY, 7, words) for _ in range(2))
    assert first.q == second.q
    assert first.ticks == second.ticks > 100


@pytest.mark.parametrize('setup', [TRAJECTORY, SET_POINT, VELOCITY], ids=lambda one: one.name)
def test_the_oracle_sees_a_loop_that_goes_wrong(setup):
    """It must not pass because it looks away."""

    def wrong(change: str) -> World:
        world = replay(setup, 0, [*AUTO, ('plan', 'fast'), ('wait', 100)])
        command = world.result.command
        if change == 'jump':
            world.oracle.sent([q + 0.3 for q in world.q], [v + 1.0 for v in command.velocity])
        elif change == 'unasked':
            world.oracle.word = False
            world.act(('wait', 200))
        return world

    for change in ('jump', 'unasked'):
        with pytest.raises(AssertionError):
            wrong(change)
