# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

from bc_runtime.execution import (
    AddResult,
    CommittedPrefix,
    Hole,
    HoleReason,
    Setpoint,
    Timeline,
    make_strategy,
)
from bc_runtime.spec import ExecutionError

STEP = 100_000_000  # the chunks of make_chunk are at 10 Hz
S = 1_000_000_000


def timeline(name='latest', options=None, **arguments):
    return Timeline(make_strategy(name, options), **arguments)


# ---- holes -------------------------------------------------------------------------------------


def test_nothing_known_is_a_hole():
    hole = timeline().at(5)
    assert hole == Hole(t_ns=5, reason=HoleReason.NO_CHUNK)


def test_before_between_and_after_chunks_are_holes_that_say_where_coverage_is(make_chunk):
    line = timeline()
    line.add(make_chunk(np.zeros(3), step=10))  # 1.0 .. 1.3 s
    line.add(make_chunk(np.zeros(2), step=20, received_ns=S))  # 2.0 .. 2.2 s
    before, gap, after = line.at(0), line.at(15 * STEP), line.at(22 * STEP)
    assert (before.reason, before.covered_until_ns, before.covered_from_ns) == (
        HoleReason.BEFORE_FIRST, None, 10 * STEP,
    )  # fmt: skip
    assert (gap.reason, gap.covered_until_ns, gap.covered_from_ns) == (
        HoleReason.GAP, 13 * STEP, 20 * STEP,
    )  # fmt: skip
    assert (after.reason, after.covered_until_ns, after.covered_from_ns) == (
        HoleReason.EXHAUSTED, 22 * STEP, None,
    )  # fmt: skip


def test_the_last_action_is_held_for_its_own_step_and_not_longer(make_chunk):
    line = timeline()
    line.add(make_chunk([1.0, 3.0], step=0))
    assert line.at(STEP + STEP // 2).values[0] == 3.0
    assert line.at(STEP + STEP // 2).velocities[0] == 0.0
    assert isinstance(line.at(2 * STEP - 2_000), Setpoint)
    assert isinstance(line.at(2 * STEP), Hole)


def test_starvation_is_never_padded(make_chunk):
    """lerobot pads an exhausted plan with zeros, which is the mean pose."""
    line = timeline('real_time_chunking')
    line.add(make_chunk(np.full(4, 5.0), step=0))
    assert isinstance(line.at(4 * STEP), Hole)
    assert line.committed(2 * STEP, 10).values.tolist() == [[5.0], [5.0]]
    assert line.committed(4 * STEP, 10).values.shape == (0, 1)


def test_actions_before_the_observation_are_never_executed(make_chunk):
    line = timeline()
    line.add(make_chunk(np.arange(4.0), step=10, stamp_index=2))
    assert isinstance(line.at(9 * STEP), Hole)
    assert line.at(10 * STEP).values[0] == 2.0


def test_actions_meant_for_later_start_later(make_chunk):
    """Trained with labels shifted by two steps: action 0 belongs to stamp + 2 dt."""
    line = timeline()
    line.add(make_chunk(np.arange(4.0), step=10, stamp_index=-2))
    assert line.at(11 * STEP).reason is HoleReason.BEFORE_FIRST
    assert line.at(12 * STEP).values[0] == 0.0


def test_receding_horizon_stops_after_n_action_steps_and_its_overrun(make_chunk):
    line = timeline('receding_horizon', {'n_action_steps': 3})
    spare = timeline('receding_horizon', {'n_action_steps': 3, 'overrun_steps': 2})
    for one in (line, spare):
        one.add(make_chunk(np.arange(10.0), step=0))
    assert line.at(3 * STEP - 10_000).values[0] == pytest.approx(3.0, abs=1e-3)  # on its way
    assert isinstance(line.at(3 * STEP), Hole)
    assert spare.at(4 * STEP).values[0] == 4.0
    assert isinstance(spare.at(5 * STEP), Hole)


# ---- what is accepted --------------------------------------------------------------------------


def test_results_of_add(make_chunk):
    line = timeline(epoch=2)
    line.clear(2, newer_than_ns=5 * STEP)
    values = np.zeros(4)
    assert line.add(make_chunk(values, step=10, epoch=2)) is AddResult.ACCEPTED
    assert line.add(make_chunk(values, step=10, epoch=2)) is AddResult.DUPLICATE
    assert line.add(make_chunk(values, step=9, epoch=2)) is AddResult.OUT_OF_ORDER
    assert line.add(make_chunk(values, step=11, epoch=1)) is AddResult.STALE_EPOCH
    assert line.add(make_chunk(values, step=11, epoch=3)) is AddResult.FUTURE_EPOCH
    assert line.add(make_chunk(values, step=5, epoch=2)) is AddResult.STALE_OBSERVATION
    late = make_chunk(values, step=6, epoch=2, received_ns=30 * STEP)
    assert line.add(late) is AddResult.EXPIRED
    other = make_chunk(values, step=12, epoch=2, names=('elbow',))
    assert line.add(other) is AddResult.INCOMPATIBLE
    accepted = [result for result in AddResult if result.accepted]
    assert accepted == [AddResult.ACCEPTED, AddResult.OUT_OF_ORDER]
    assert len(line) == 2


def test_two_processes_or_policies_may_have_the_same_sequence(make_chunk):
    line = timeline('temporal_ensemble', {'coeff': 0.0})
    assert line.add(make_chunk([1.0, 1.0], policy_id='a')) is AddResult.ACCEPTED
    assert line.add(make_chunk([3.0, 3.0], policy_id='b')) is AddResult.ACCEPTED
    assert line.at(0).values[0] == 2.0


def test_clear_forgets_and_old_epochs_do_not_come_back(make_chunk):
    line = timeline()
    line.add(make_chunk(np.zeros(4)))
    line.clear(1)
    assert len(line) == 0
    assert line.epoch == 1
    assert line.names == ()
    assert line.at(0).reason is HoleReason.NO_CHUNK
    assert line.add(make_chunk(np.zeros(4), step=1)) is AddResult.STALE_EPOCH
    elbow = make_chunk(np.zeros(4), step=1, epoch=1, names=('elbow',))
    assert line.add(elbow) is AddResult.ACCEPTED
    assert line.names == ('elbow',)


def test_columns_are_matched_by_name_never_by_position(make_chunk):
    line = timeline()
    line.add(make_chunk([[1, 2], [1, 2]], names=('a', 'b')))
    swapped = make_chunk([[20, 10], [20, 10]], step=1, names=('b', 'a'))
    assert line.add(swapped) is AddResult.ACCEPTED
    assert line.at(STEP).names == ('a', 'b')
    assert line.at(STEP).values.tolist() == [10.0, 20.0]
    kind = make_chunk([[1, 2]], step=2, names=('a', 'b'), kinds=('joint_position', 'gripper'))
    assert line.add(kind) is AddResult.INCOMPATIBLE


def test_relative_and_absolute_chunks_of_the_same_joints_blend(make_chunk):
    """After a hot swap to a policy that predicts differences."""
    line = timeline('temporal_ensemble', {'coeff': 0.0})
    line.add(make_chunk([1.0, 1.0]))
    relative = make_chunk(
        [0.5, 0.5], sequence=1, references=('observation_state',), anchor={'joint_1': 2.5}
    )
    assert line.add(relative) is AddResult.ACCEPTED
    assert line.at(0).values[0] == 2.0


def test_of_too_many_chunks_the_oldest_observations_go(make_chunk):
    line = timeline('latest', max_chunks=3)
    for step in (1, 2, 3, 4):
        assert line.add(make_chunk(np.full(50, step), step=step)).accepted
    assert [chunk.sequence for chunk in line.live_chunks()] == [2, 3, 4]
    assert line.add(make_chunk(np.zeros(50), step=0)) is AddResult.FULL


def test_a_longer_chunk_keeps_what_is_known(make_chunk):
    line = timeline('weighted_average', {'old_share': 0.5}, interpolation='cubic')
    line.add(make_chunk(np.arange(4.0), step=0))
    line.add(make_chunk(np.arange(1.0, 31.0), step=1))
    assert line.at(2 * STEP).values[0] == pytest.approx(2.0)
    assert line.at(2 * STEP + STEP // 2).values[0] == pytest.approx(2.5)
    assert line.at(20 * STEP).values[0] == 20.0


def test_another_number_of_dimensions_after_clear(make_chunk):
    line = timeline()
    for epoch, dim in enumerate((3, 7, 2)):
        line.clear(epoch)
        line.add(make_chunk(np.full((4, dim), 1.5), epoch=epoch))
        assert line.at(0).values.tolist() == [1.5] * dim


# ---- the first chunk ---------------------------------------------------------------------------


def test_a_slow_first_inference_skips_no_action_lerobot_4223(make_chunk):
    """0.7 s of warm-up, 30 Hz: lerobot commanded action 21 of 30 to a robot that stood still."""
    dt_ns = 33_333_333
    slow = {'dt_ns': dt_ns, 'stamp_ns': S, 'received_ns': S + 700_000_000, 'sequence': 1}
    line = timeline()
    line.add(make_chunk(np.arange(30.0), **slow))
    assert isinstance(line.at(S + 699_000_000), Hole)
    assert line.at(S + 700_000_000).values[0] == 0.0
    assert line.at(S + 700_000_000 + 5 * dt_ns).values[0] == 5.0
    assert line.live_chunks()[0].shift_ns == 700_000_000
    # The next observation saw a moving robot: its chunk stays where it is in time.
    second = make_chunk(
        np.full(30, 100.0), dt_ns=dt_ns, stamp_ns=S + 800_000_000, sequence=2,
        received_ns=S + 900_000_000,
    )  # fmt: skip
    line.add(second)
    assert line.at(S + 900_000_000).values[0] == 100.0
    assert line.live_chunks()[1].shift_ns == 0
    # Without it the first actions drop out by time.
    strict = timeline(start_from_rest=False)
    strict.add(make_chunk(np.arange(30.0), **slow))
    assert strict.at(S + 700_000_000).values[0] == pytest.approx(21.0)


def test_a_first_inference_slower_than_its_chunk_is_still_executed_from_its_beginning(make_chunk):
    slow = {'step': 0, 'received_ns': 9 * STEP}
    line, strict = timeline(), timeline(start_from_rest=False)
    assert line.add(make_chunk(np.arange(5.0), **slow)) is AddResult.ACCEPTED
    assert [line.at((9 + k) * STEP).values[0] for k in range(5)] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert strict.add(make_chunk(np.arange(5.0), **slow)) is AddResult.EXPIRED


def test_every_epoch_starts_from_rest(make_chunk):
    line = timeline()
    line.add(make_chunk(np.arange(5.0), step=0, received_ns=2 * STEP))
    line.clear(1)
    line.add(make_chunk(np.arange(5.0), step=50, received_ns=53 * STEP, epoch=1))
    assert line.at(53 * STEP).values[0] == 0.0


# ---- questions ---------------------------------------------------------------------------------


def test_remaining_time_ends_at_the_first_hole(make_chunk):
    line = timeline()
    assert line.remaining_s(0) == 0.0
    line.add(make_chunk(np.zeros(4), step=0))
    line.add(make_chunk(np.zeros(4), step=3))
    line.add(make_chunk(np.zeros(4), step=20, received_ns=3 * STEP))
    assert line.remaining_s(0) == pytest.approx(0.7)
    assert line.remaining_s(6 * STEP) == pytest.approx(0.1)
    assert line.remaining_s(7 * STEP) == 0.0
    assert line.remaining_s(19 * STEP) == 0.0


def test_committed_actions_are_the_setpoints_on_the_next_grid(make_chunk):
    line = timeline('temporal_ensemble', {'coeff': 0.0})
    assert line.committed(0, 3) is None
    line.add(make_chunk(np.arange(10.0), step=0))
    line.add(make_chunk(np.arange(10.0) + 2.0, step=1))
    prefix = line.committed(2 * STEP, 3)
    assert isinstance(prefix, CommittedPrefix)
    assert prefix.dt_ns == STEP
    assert prefix.names == ('joint_1',)
    assert prefix.values.dtype == np.float32
    assert prefix.values[:, 0].tolist() == [2.5, 3.5, 4.5]
    finer = line.committed(2 * STEP, 2, dt_ns=STEP // 2)
    assert finer.values[:, 0].tolist() == [2.5, 3.0]


def test_a_setpoint_names_its_chunks_and_weights_and_is_read_only(make_chunk):
    line = timeline('temporal_ensemble')
    line.add(make_chunk(np.zeros(5), step=0, sequence=41))
    line.add(make_chunk(np.zeros(5), step=1, sequence=42))
    setpoint = line.at(2 * STEP)
    assert setpoint.chunk_sequences.tolist() == [41, 42]
    assert setpoint.weights == pytest.approx([0.50249998, 0.49750002])
    with pytest.raises(ValueError, match='read-only'):
        setpoint.values[0] = 1.0
    line.add(make_chunk(np.ones(5), step=2, sequence=43))
    assert setpoint.chunk_sequences.tolist() == [41, 42]


def test_chunks_in_their_last_step_wait_behind_those_that_still_move(make_chunk):
    """Held actions lag behind a moving plan, and would pull it back just before they end."""
    line = timeline('temporal_ensemble', {'coeff': 0.0})
    line.add(make_chunk(np.arange(4.0), step=0))
    line.add(make_chunk(np.arange(1.0, 5.0), step=1))
    assert line.at(3 * STEP).chunk_sequences.tolist() == [0, 1]
    between = line.at(3 * STEP + STEP // 2)
    assert between.chunk_sequences.tolist() == [1]
    assert between.values[0] == pytest.approx(3.5)
    held = timeline('temporal_ensemble', {'coeff': 0.0}, interpolation='hold')
    held.add(make_chunk(np.arange(4.0), step=0))
    held.add(make_chunk(np.arange(1.0, 5.0), step=1))
    assert held.at(3 * STEP + STEP // 2).chunk_sequences.tolist() == [0, 1]


def test_a_policy_of_single_actions_is_executed(make_chunk):
    line = timeline('temporal_ensemble', interpolation='cubic')
    for step in range(5):
        line.add(make_chunk([float(step)], step=step))
        assert line.at(step * STEP).values[0] == step
        assert line.at(step * STEP + STEP // 2).values[0] == step
    assert isinstance(line.at(5 * STEP), Hole)


def test_a_single_action_does_not_move_in_its_last_nanoseconds(make_chunk):
    """Regressions pinned: behind a chunk's end lay what an older chunk had left there.

    Grids a nanosecond apart count as one, so that the end of a single action may be asked for at
    the next grid point. Its rate was the way to a stale action, and not 0.
    """
    line = timeline('temporal_ensemble', {'coeff': 0.0}, start_from_rest=False)
    line.add(make_chunk([5.0], stamp_ns=0, sequence=1))
    line.add(make_chunk([5.0, 5.0], stamp_ns=STEP - 2, sequence=2))
    setpoint = line.at(STEP - 1_001)
    assert setpoint.chunk_sequences.tolist() == [1, 2]
    assert setpoint.values.tolist() == [5.0]
    assert setpoint.velocities.tolist() == [0.0]


def test_chunk_sequences_stay_what_they_were(make_chunk):
    """They are views into a column that chunks are inserted into, dropped from and moved in."""
    line = timeline('temporal_ensemble', retain_s=0.0, max_chunks=8)
    kept = []
    for step in range(200):
        for sequence in (step, step + 1000):  # every second one comes late
            stamp_ns = (step if sequence == step else step - 3) * STEP
            line.add(make_chunk(np.zeros(5), stamp_ns=stamp_ns, sequence=sequence))
            found = line.at(step * STEP).chunk_sequences
            kept.append((found, found.tolist()))
        if step % 50 == 49:
            line.clear(0)
    assert all(found.tolist() == before for found, before in kept)
    with pytest.raises(ValueError, match='read-only'):
        kept[0][0][0] = 1


def test_impossible_arguments():
    with pytest.raises(ExecutionError, match='max_chunks'):
        timeline(max_chunks=0)
    with pytest.raises(ExecutionError, match='retain_s'):
        timeline(retain_s=-1.0)
    with pytest.raises(ValueError, match='quintic'):
        timeline(interpolation='quintic')


@pytest.mark.parametrize('beside_ns', [-1_000, -300, 0, 300, 1_000])
def test_the_snap_to_an_action_also_holds_between_chunks_of_different_grids(make_chunk, beside_ns):
    line = timeline('temporal_ensemble', {'coeff': 0.0})
    line.add(make_chunk(np.full(10, 8.0), stamp_ns=0))
    line.add(make_chunk(np.arange(10.0) * 1024.0, stamp_ns=37_000_000, sequence=1))
    assert line.at(37_000_000 + 3 * STEP + beside_ns).values[0] == (8.0 + 3 * 1024.0) / 2
