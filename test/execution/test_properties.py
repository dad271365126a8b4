# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every set of chunks, every time and every order of arrival."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.execution import ActionChunk, AddResult, Hole, Setpoint, Timeline, make_strategy

MS = 1_000_000
NAMES = ('joint', 'turn', 'grip', 'switch', 'x', 'qx', 'qy', 'qz', 'qw', 'speed')
KINDS = (
    'joint_position', 'continuous_joint', 'gripper', 'binary', 'position',
    'quaternion', 'quaternion', 'quaternion', 'quaternion', 'joint_velocity',
)  # fmt: skip

STRATEGIES = st.sampled_from(
    [
        ('temporal_ensemble', {'coeff': 0.01}),
        ('temporal_ensemble', {'coeff': -0.3}),
        ('receding_horizon', {'n_action_steps': 3, 'overrun_steps': 1}),
        ('latest', {}),
        ('weighted_average', {'old_share': 0.3}),
        ('real_time_chunking', {'execution_horizon': 2}),
        ('real_time_chunking', {'execution_horizon': 1, 'schedule': 'linear', 'strength': 0.85}),
        ('real_time_chunking', {'prefix_conditioned': True}),
    ]
)
INTERPOLATIONS = st.sampled_from(['hold', 'linear', 'cubic'])


@st.composite
def chunk_sets(draw, max_chunks=7):
    """Chunks of many kinds with any stamps, steps, lengths and delays."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    chunks = []
    for sequence in range(draw(st.integers(1, max_chunks))):
        size = draw(st.integers(1, 8))
        stamp_ns = draw(st.integers(0, 800)) * MS + draw(st.sampled_from([0, 0, 333_333]))
        chunks.append(
            ActionChunk(
                stamp_ns=stamp_ns,
                dt_ns=draw(st.sampled_from([20 * MS, 50 * MS, 66_666_667])),
                stamp_index=draw(st.sampled_from([0, 0, 0, 1, -1])),
                values=rng.normal(size=(size, len(NAMES))),
                names=NAMES,
                kinds=KINDS,
                sequence=sequence,
                received_ns=stamp_ns + draw(st.integers(0, 120)) * MS,
            )
        )
    return chunks


def same(a, b):
    if isinstance(a, Hole) or isinstance(b, Hole):
        return a == b
    return (
        a.t_ns == b.t_ns
        and np.array_equal(a.values, b.values)
        and np.array_equal(a.velocities, b.velocities)
        and np.array_equal(a.weights, b.weights)
        and np.array_equal(a.chunk_sequences, b.chunk_sequences)
    )


def filled(chunks, strategy, interpolation='linear', **options):
    timeline = Timeline(make_strategy(*strategy), interpolation=interpolation, **options)
    for chunk in chunks:
        timeline.add(chunk)
    return timeline


TIMES = range(0, 1_400 * MS, 47 * MS)


@settings(max_examples=40, deadline=None)
@given(chunk_sets(), STRATEGIES, INTERPOLATIONS, st.randoms(use_true_random=False))
def test_property_arrival_order_does_not_matter(chunks, strategy, interpolation, shuffler):
    """To the last bit, for setpoints, velocities, weights and holes."""
    shuffled = chunks[:]
    shuffler.shuffle(shuffled)
    # Nothing is dropped before its time, so that every time can be compared.
    options = {'retain_s': 10.0}
    a = filled(chunks, strategy, interpolation, **options)
    b = filled(shuffled, strategy, interpolation, **options)
    assert len(a) == len(b)
    assert a.live_chunks() == b.live_chunks()
    for t_ns in TIMES:
        assert same(a.at(t_ns), b.at(t_ns))
        assert a.remaining_s(t_ns) == b.remaining_s(t_ns)


@settings(max_examples=25, deadline=None)
@given(chunk_sets(), STRATEGIES, st.randoms(use_true_random=False))
def test_property_of_too_many_chunks_the_newest_observations_stay(chunks, strategy, shuffler):
    shuffled = chunks[:]
    shuffler.shuffle(shuffled)
    few = filled(shuffled, strategy, max_chunks=3, retain_s=10.0, start_from_rest=False)
    all_ = filled(chunks, strategy, retain_s=10.0, start_from_rest=False)
    assert few.live_chunks() == all_.live_chunks()[-3:]


@settings(max_examples=40, deadline=None)
@given(chunk_sets(), STRATEGIES, INTERPOLATIONS, st.randoms(use_true_random=False))
def test_property_duplicates_and_void_chunks_change_nothing(
    chunks, strategy, interpolation, shuffler
):
    clean = Timeline(make_strategy(*strategy), interpolation=interpolation, epoch=3, retain_s=10.0)
    noisy = Timeline(make_strategy(*strategy), interpolation=interpolation, epoch=3, retain_s=10.0)
    sent = []
    for chunk in chunks:
        fields = {name: getattr(chunk, name) for name in CHUNK_FIELDS}
        good = ActionChunk(**fields, epoch=3)
        clean.add(good)
        sent += [good, good, ActionChunk(**fields, epoch=2), ActionChunk(**fields, epoch=4)]
    shuffler.shuffle(sent)
    results = [noisy.add(chunk) for chunk in sent]
    assert results.count(AddResult.STALE_EPOCH) == results.count(AddResult.FUTURE_EPOCH)
    assert results.count(AddResult.STALE_EPOCH) == len(chunks)
    assert sum(result.accepted for result in results) >= len(noisy)
    assert clean.live_chunks() == noisy.live_chunks()
    for t_ns in TIMES:
        assert same(clean.at(t_ns), noisy.at(t_ns))


CHUNK_FIELDS = (
    'stamp_ns', 'dt_ns', 'stamp_index', 'values', 'names', 'kinds', 'sequence', 'received_ns',
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(chunk_sets(max_chunks=12), STRATEGIES, INTERPOLATIONS, st.data())
def test_property_only_the_known_chunks_matter(chunks, strategy, interpolation, data):
    """A live run with losses equals a timeline built afresh at each tick from what had come.

    Neither questions asked before nor forgotten chunks leave a trace.
    """
    lost = set(data.draw(st.lists(st.integers(0, 11), max_size=4)))
    coming = sorted(
        (c for c in chunks if c.sequence not in lost), key=lambda c: (c.received_ns, c.sequence)
    )
    live = Timeline(make_strategy(*strategy), interpolation=interpolation, retain_s=0.0)
    known = []
    for t_ns in range(0, 1_300 * MS, 51 * MS):
        while coming and coming[0].received_ns <= t_ns:
            known.append(coming.pop(0))
            live.add(known[-1])
        live.at(t_ns + data.draw(st.sampled_from([0, 0, 400 * MS])))  # look ahead
        fresh = filled(known, strategy, interpolation, retain_s=10.0)
        assert same(live.at(t_ns), fresh.at(t_ns))


@settings(max_examples=40, deadline=None)
@given(chunk_sets(), STRATEGIES, INTERPOLATIONS, st.integers(-(10**9), 2 * 10**18))
def test_property_a_clock_offset_moves_everything_and_changes_nothing(
    chunks, strategy, interpolation, offset_ns
):
    moved = [
        ActionChunk(
            **{name: getattr(chunk, name) for name in CHUNK_FIELDS}
            | {
                'stamp_ns': chunk.stamp_ns + offset_ns,
                'received_ns': chunk.received_ns + offset_ns,
            }
        )
        for chunk in chunks
    ]
    a = filled(chunks, strategy, interpolation, retain_s=10.0)
    b = filled(moved, strategy, interpolation, retain_s=10.0)
    for t_ns in TIMES:
        x, y = a.at(t_ns), b.at(t_ns + offset_ns)
        assert type(x) is type(y)
        if isinstance(x, Setpoint):
            assert np.array_equal(x.values, y.values)
            assert np.array_equal(x.velocities, y.velocities)


@settings(max_examples=40, deadline=None)
@given(chunk_sets(), STRATEGIES)
def test_property_there_is_a_setpoint_exactly_where_a_chunk_covers(chunks, strategy):
    timeline = filled(chunks, strategy, retain_s=10.0, start_from_rest=False)
    steps = 4 if strategy[0] == 'receding_horizon' else 99
    known = {c.sequence for c in timeline.live_chunks()}
    kept = [c for c in chunks if c.sequence in known]
    refused = [c for c in chunks if c.sequence not in known]
    assert all(
        c.received_ns >= min(c.end_ns, max(c.stamp_ns, c.time_of(0)) + steps * c.dt_ns)
        for c in refused
    )
    for t_ns in TIMES:
        covering = set()
        for c in kept:
            begin = max(c.stamp_ns, c.time_of(0))
            end = min(c.end_ns, begin + steps * c.dt_ns)
            if begin <= t_ns < end:
                covering.add(c.sequence)
        answer = timeline.at(t_ns)
        assert isinstance(answer, Setpoint) == bool(covering)
        if covering:
            assert set(answer.chunk_sequences.tolist()) <= covering
            assert math.isclose(answer.weights.sum(), 1.0)
            assert (answer.weights >= 0.0).all()
            assert np.isfinite(answer.values).all()
            assert np.isfinite(answer.velocities).all()
            assert timeline.remaining_s(t_ns) > 0.0
        else:
            assert timeline.remaining_s(t_ns) == 0.0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=2),
    STRATEGIES,
    INTERPOLATIONS,
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=12),
)
def test_property_constant_chunks_give_that_constant(constant, strategy, interpolation, where):
    timeline = Timeline(make_strategy(*strategy), interpolation=interpolation)
    for sequence, (at, size) in enumerate(where):
        timeline.add(
            ActionChunk(
                stamp_ns=at * 10 * MS,
                dt_ns=50 * MS,
                values=np.tile(np.array(constant, dtype=np.float32), (size, 1)),
                names=('a', 'b'),
                kinds=('joint_position', 'continuous_joint'),
                sequence=sequence,
                received_ns=at * 10 * MS,
            )
        )
    for t_ns in range(0, 900 * MS, 7 * MS):
        answer = timeline.at(t_ns)
        if isinstance(answer, Setpoint):
            assert answer.values == pytest.approx(constant, abs=1e-12)
            assert answer.velocities == pytest.approx([0.0, 0.0], abs=1e-9)


W = 2 * math.pi * 0.7  # a joint that swings at 0.7 Hz
DT_NS = 66_666_667
DT = DT_NS * 1e-9
# Largest error between the samples of sin(w t): hold |f'| dt; linear |f''| dt^2 / 8; Catmull-Rom
# tangents err by |f'''| dt^2 / 6 inside, which adds |f'''| dt^3 / 24, and cubic Hermite by
# |f''''| dt^4 / 384; at the two ends the tangent errs by |f''| dt / 2, which adds 4/27 of dt.
SLACK = 1e-6  # float32 chunks
BOUNDS = {
    'hold': W * DT + SLACK,
    'linear': W**2 * DT**2 / 8 + SLACK,
    'cubic': W**3 * DT**3 / 24 + W**4 * DT**4 / 384 + SLACK,
}
AT_THE_ENDS = {**BOUNDS, 'cubic': BOUNDS['cubic'] + W**2 * DT**2 * 2 / 27}


@settings(max_examples=40, deadline=None)
@given(
    STRATEGIES,
    INTERPOLATIONS,
    st.integers(0, DT_NS),
    st.lists(st.integers(0, 90), min_size=25, max_size=25),
    st.integers(4, 12),
)
def test_property_a_smooth_motion_is_followed_within_the_interpolation_bound(
    strategy, interpolation, phase_ns, jitter_ms, size
):
    """Observations come off the grid of the chunks, late by any time, in any phase."""
    timeline = Timeline(
        make_strategy(*strategy), interpolation=interpolation, start_from_rest=False
    )
    events = []
    stamp_ns = phase_ns
    for sequence, jitter in enumerate(jitter_ms):
        values = np.sin(W * (stamp_ns + np.arange(size) * DT_NS) * 1e-9)
        events.append((stamp_ns + jitter * MS, sequence, stamp_ns, values))
        stamp_ns += DT_NS + jitter * MS // 3
    events.sort()
    seen = 0
    for t_ns in range(0, 2_500 * MS, 29 * MS):
        while events and events[0][0] <= t_ns:
            received_ns, sequence, stamp_ns, values = events.pop(0)
            timeline.add(
                ActionChunk(
                    stamp_ns=stamp_ns,
                    dt_ns=DT_NS,
                    values=values[:, None],
                    names=('swing',),
                    kinds=('joint_position',),
                    sequence=sequence,
                    received_ns=received_ns,
                )
            )
        answer = timeline.at(t_ns)
        if isinstance(answer, Hole):
            continue
        used = {c.sequence: c for c in timeline.live_chunks()}
        held = any(
            t_ns > used[s].stamp_ns + (size - 1) * DT_NS for s in answer.chunk_sequences.tolist()
        )
        bound = BOUNDS['hold'] if held else AT_THE_ENDS[interpolation]
        assert abs(answer.values[0] - math.sin(W * t_ns * 1e-9)) <= bound
        seen += 1
    assert seen > 20


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(['linear', 'cubic']))
def test_property_velocity_is_the_slope_of_the_setpoints(seed, interpolation):
    """Finite differences inside a step, with the same chunks on both sides."""
    rng = np.random.default_rng(seed)
    timeline = Timeline(make_strategy('temporal_ensemble'), interpolation=interpolation)
    kinds = KINDS[:2] + KINDS[4:9] + ('rotation_6d',) * 6 + ('axis_angle',) * 3
    names = tuple(f'd{i}' for i in range(len(kinds)))
    for sequence in range(4):
        values = 0.4 * rng.normal(size=(8, len(kinds))) + sequence * 0.01
        values[:, 3:7] += [1.0, 0.0, 0.0, 2.0]
        values[:, 7:13] += [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]
        timeline.add(
            ActionChunk(
                stamp_ns=sequence * 130 * MS,
                dt_ns=100 * MS,
                values=values,
                names=names,
                kinds=kinds,
                sequence=sequence,
                received_ns=sequence * 130 * MS,
            )
        )
    h = 20_000
    for t_ns in range(395 * MS, 700 * MS, 31 * MS):
        before, here, after = (timeline.at(t_ns + d) for d in (-h, 0, h))
        if not np.array_equal(before.chunk_sequences, after.chunk_sequences):
            continue
        slope = (after.values - before.values) / (2 * h * 1e-9)
        # The mean of axis-angle vectors jumps by a full turn at pi; its slope is not the point.
        near = np.abs(after.values - before.values) < 0.1
        assert here.velocities[near] == pytest.approx(slope[near], abs=2e-3, rel=2e-3)
        assert near.sum() >= 13


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 9))
def test_property_cubic_has_no_kink_at_an_action(seed, size):
    values = np.random.default_rng(seed).normal(size=(size, 2))
    timeline = Timeline(make_strategy('latest'), interpolation='cubic')
    timeline.add(
        ActionChunk(
            stamp_ns=0,
            dt_ns=100 * MS,
            values=values,
            names=('a', 'b'),
            kinds=('joint_position', 'joint_position'),
            sequence=0,
            received_ns=0,
        )
    )
    for k in range(1, size - 1):
        t_ns = k * 100 * MS
        before, at, after = (timeline.at(t_ns + d) for d in (-5_000, 0, 5_000))
        assert at.values == pytest.approx(values[k].astype(np.float32), abs=0)
        assert before.velocities == pytest.approx(after.velocities, abs=0.05)
        assert before.values == pytest.approx(after.values, abs=0.001)


@settings(max_examples=40, deadline=None)
@given(chunk_sets(), STRATEGIES, INTERPOLATIONS)
def test_property_the_control_rate_does_not_matter(chunks, strategy, interpolation):
    """A tick at 10 ms sees what a tick at 5 ms sees at the same time."""
    slow = filled(chunks, strategy, interpolation, retain_s=10.0)
    fast = filled(chunks, strategy, interpolation, retain_s=10.0)
    answers = {t_ns: fast.at(t_ns) for t_ns in range(0, 300 * MS, 5 * MS)}
    for t_ns in range(0, 300 * MS, 10 * MS):
        assert same(slow.at(t_ns), answers[t_ns])


def plain_value(chunk, t_ns, mode):
    """One chunk at one time, written out; None where it does not cover."""
    if not max(chunk.stamp_ns, chunk.time_of(0)) - 1_000 <= t_ns < chunk.end_ns - 1_000:
        return None
    a = chunk.values[:, 0].astype(np.float64)
    k, past = divmod(t_ns + 1_000 - chunk.time_of(0), chunk.dt_ns)
    u = (past - 1_000) / chunk.dt_ns if past > 2_000 else 0.0
    if k == len(a) - 1 or mode == 'hold':
        return a[k]
    if mode == 'linear':
        return a[k] + u * (a[k + 1] - a[k])
    m0 = 0.5 * (a[k + 1] - a[k - 1]) if k else a[1] - a[0]
    m1 = 0.5 * (a[k + 2] - a[k]) if k + 2 < len(a) else a[k + 1] - a[k]
    h00, h10 = 2 * u**3 - 3 * u**2 + 1, u**3 - 2 * u**2 + u
    return h00 * a[k] + h10 * m0 + (1 - h00) * a[k + 1] + (u**3 - u**2) * m1


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 14),  # step of the observation
            st.sampled_from([0, 0, 0, 0, 0, 1, -1, 5_000_000]),  # beside the grid [ns]
            st.integers(1, 9),  # size
            st.sampled_from([0, 0, 0, 1, -1]),  # stamp_index
        ),
        min_size=1,
        max_size=10,
    ),
    INTERPOLATIONS,
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_property_an_ensemble_equals_the_plain_formula(where, mode, same_size, seed):
    """In lock step, nearly, with gaps, and off the grid of each other."""
    rng = np.random.default_rng(seed)
    chunks = [
        ActionChunk(
            stamp_ns=round(step * 1e9 / 15) + beside,
            dt_ns=66_666_667,
            values=rng.normal(size=(7 if same_size else size, 1)),
            names=('joint',),
            kinds=('joint_position',),
            sequence=sequence,
            received_ns=0,
            stamp_index=index,
        )
        for sequence, (step, beside, size, index) in enumerate(where)
    ]
    timeline = filled(chunks, ('temporal_ensemble', {'coeff': 0.2}), mode, retain_s=10.0)
    chunks.sort(key=lambda c: (c.stamp_ns, c.sequence))
    for tick in range(150):
        t_ns = round(tick * 1e9 / 100)
        values = [(c, plain_value(c, t_ns, mode)) for c in chunks]
        values = [(c, v) for c, v in values if v is not None]
        if mode != 'hold':
            around = [
                (c, v)
                for c, v in values
                if c.chunk_size == 1 or t_ns <= c.time_of(c.chunk_size - 1) + 1_000
            ]
            values = around or values
        answer = timeline.at(t_ns)
        assert isinstance(answer, Setpoint) == bool(values)
        if values:
            w = np.exp(-0.2 * np.arange(len(values)))
            expected = w @ [v for _, v in values] / w.sum()
            # Grids that are nanoseconds apart count as one: nanoseconds of motion.
            assert answer.values[0] == pytest.approx(expected, abs=1e-5)
            assert answer.chunk_sequences.tolist() == [c.sequence for c, _ in values]


@settings(max_examples=40, deadline=None)
@given(chunk_sets(), STRATEGIES, st.integers(-1_000, 1_000), st.integers(0, 7))
def test_property_a_microsecond_beside_an_action_is_the_action(chunks, strategy, off_ns, k):
    """Rates that are no whole number of nanoseconds do not cost exactness."""
    chunk = chunks[0]
    k = min(k, chunk.chunk_size - 1)
    timeline = filled([chunk], strategy, 'cubic', start_from_rest=False, retain_s=10.0)
    exact = timeline.at(chunk.time_of(k))
    if isinstance(exact, Setpoint):
        beside = timeline.at(chunk.time_of(k) + off_ns)
        assert isinstance(beside, Setpoint)
        assert np.array_equal(exact.values, beside.values)
        assert exact.values[0] == chunk.values[k, 0]


def test_property_memory_is_bounded_by_the_live_chunks(make_chunk):
    timeline = Timeline(make_strategy('temporal_ensemble'), max_chunks=64)
    rng = random.Random(0)
    for step in range(3_000):
        assert timeline.add(make_chunk(np.zeros((20, 3)), step=step, dt_ns=20 * MS)).accepted
        assert len(timeline) <= 20 + 5 + 1  # those that cover, and those of the last 0.1 s
        if rng.random() < 0.1:
            timeline.at(step * 20 * MS)
