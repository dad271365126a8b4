# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The setpoints in lock step are those of the reference implementations.

Streams: test/golden/*.npz, made by LeRobot 0.4.4 and by the evaluation loop of the ACT repository.
Numbers in the tests: values that the reference code gave for the same input.
"""

from __future__ import annotations

import numpy as np
import pytest

from bc_runtime.execution import (
    AddResult,
    Hole,
    HoleReason,
    InferenceTrigger,
    Setpoint,
    Timeline,
    TriggerDecision,
    make_strategy,
)

TOLERANCE = 2e-6
DT_NS = 20_000_000
RATES_HZ = (50.0, 15.0, 30.0)


def grid(step, rate_hz):
    return round(step * 1e9 / rate_hz)


def run_in_lock_step(timeline, make_chunk, chunks, infer_steps, steps, *, rate_hz=50.0, resets=()):
    """Return (T, D) setpoints: infer at the given steps, before the setpoint of the same step."""
    dt_ns = round(1e9 / rate_hz)
    at_step = dict(zip((int(s) for s in infer_steps), chunks, strict=True))
    epoch, rows = 0, []
    for step in range(steps):
        if step in resets:
            epoch += 1
            timeline.clear(epoch)
        if step in at_step:
            chunk = make_chunk(
                at_step[step],
                step=step,
                dt_ns=dt_ns,
                stamp_ns=grid(step, rate_hz),
                epoch=epoch,
            )
            assert timeline.add(chunk) is AddResult.ACCEPTED
        setpoint = timeline.at(grid(step, rate_hz))
        assert isinstance(setpoint, Setpoint)
        rows.append(setpoint.values)
    return np.array(rows)


def ensemble(coeff=0.01, interpolation='linear', **options):
    return Timeline(
        make_strategy('temporal_ensemble', {'coeff': coeff}),
        interpolation=interpolation,
        **options,
    )


@pytest.mark.parametrize('rate_hz', RATES_HZ)
@pytest.mark.parametrize('interpolation', ['hold', 'linear', 'cubic'])
@pytest.mark.parametrize('stream', ['act_te_c20', 'act_te_c100', 'act_te_c20_reset'])
def test_temporal_ensemble_parity_with_lerobot(make_chunk, golden, stream, interpolation, rate_hz):
    data = golden(stream)
    resets = {int(step) for step in data['reset_steps']}
    if stream == 'act_te_c20_reset':
        assert resets  # else this stream proves nothing
    for chunks, actions in (('chunks', 'actions'), ('chunks_norm', 'actions_norm')):
        ours = run_in_lock_step(
            ensemble(interpolation=interpolation),
            make_chunk,
            data[chunks],
            data['infer_step'],
            len(data[actions]),
            rate_hz=rate_hz,
            resets=resets,
        )
        assert np.abs(ours - data[actions]).max() <= TOLERANCE


def test_temporal_aggregation_parity_with_the_act_repository(make_chunk, golden):
    data, act = golden('act_te_c100'), golden('act_original_c100')
    assert str(act['source']) == 'act_te_c100.npz'
    for chunks, actions in (
        ('chunks', 'actions_temporal_agg'),
        ('chunks_norm', 'raw_temporal_agg'),
    ):
        steps = len(act[actions])
        ours = run_in_lock_step(ensemble(), make_chunk, data[chunks], range(steps), steps)
        assert np.abs(ours - act[actions]).max() <= TOLERANCE


def test_no_aggregation_parity_with_the_act_repository(make_chunk, golden):
    data, act = golden('act_te_c100'), golden('act_original_c100')
    for chunks, actions in (('chunks', 'actions_no_agg'), ('chunks_norm', 'raw_no_agg')):
        steps = len(act[actions])
        infer_steps = range(0, steps, 100)
        timeline = Timeline(make_strategy('receding_horizon', {'n_action_steps': 100}))
        ours = run_in_lock_step(
            timeline, make_chunk, data[chunks][list(infer_steps)], infer_steps, steps
        )
        assert np.abs(ours - act[actions]).max() <= TOLERANCE


def plain_ensemble(chunks, coeff=0.01):
    """ACT's formula without its zero test, in float64."""
    size, rows = chunks.shape[1], []
    for t in range(len(chunks)):
        queries = range(max(0, t - size + 1), t + 1)
        stacked = np.array([chunks[q, t - q] for q in queries], dtype=np.float64)
        w = np.exp(-coeff * np.arange(len(stacked)))
        rows.append((w / w.sum()) @ stacked)
    return np.array(rows)


def test_exact_zeros_count_parity_except_where_act_drops_them(make_chunk, golden):
    act = golden('act_original_c100')
    chunks, theirs = act['zero_chunks'], act['zero_raw_temporal_agg']
    steps = len(chunks)
    ours = run_in_lock_step(ensemble(), make_chunk, chunks, range(steps), steps)
    assert np.abs(ours - plain_ensemble(chunks)).max() <= TOLERANCE
    # ACT takes a row with an exact zero for "not predicted": it behaves as if the chunk had never
    # come, and gives the mean pose (zero in normalised units) if none is left.
    heard = [step for step in range(steps) if (chunks[step] != 0.0).all()]
    assert (act['zero_n_populated'] < np.arange(steps) + 1).all()
    assert heard[0] == 1
    assert not theirs[0].any()
    without = Timeline(make_strategy('temporal_ensemble'))
    assert isinstance(without.at(0), Hole)
    for step in range(1, steps):
        if step in heard:
            without.add(make_chunk(chunks[step], step=step, dt_ns=DT_NS))
        assert np.abs(without.at(step * DT_NS).values - theirs[step]).max() <= TOLERANCE
    assert np.abs(ours - theirs).max(axis=1).min() > 1e-4


def test_exact_zeros_parity_with_lerobot_by_hand(make_chunk):
    timeline = ensemble()
    chunks = ([[1, 1], [0, 2], [3, 3]], [[10, 10], [11, 11], [12, 12]])
    ours = run_in_lock_step(timeline, make_chunk, chunks, (0, 1), 2)
    assert ours[1] == pytest.approx([4.97500021, 5.98000017], abs=1e-6)  # ACT says [10, 10]


@pytest.mark.parametrize(
    ('coeff', 'expected'),
    [
        (0.01, [1.0, 5.980000166665, 40.677022046689, 406.77022046689]),
        (0.0, [1, 6, 41, 410]),
        (-0.01, [1, 6.02, 41.323677, 413.236786]),
        (0.1, [1, 5.800167, 37.806957, 378.069550]),
        (1.0, [1, 4.151532, 15.893350, 158.933487]),
    ],
)
def test_temporal_ensemble_parity_by_hand(make_chunk, coeff, expected):
    chunks = ([1, 2, 3], [10, 20, 30], [100, 200, 300], [1000, 2000, 3000])
    ours = run_in_lock_step(ensemble(coeff), make_chunk, chunks, range(4), 4)
    assert ours[:, 0] == pytest.approx(expected, rel=1e-6)


def queue(n_action_steps):
    return Timeline(make_strategy('receding_horizon', {'n_action_steps': n_action_steps}))


@pytest.mark.parametrize('stream', ['act_queue_c20_k8', 'diff_ddim10', 'diff_ddpm100'])
def test_action_queue_parity_with_lerobot_is_exact(make_chunk, golden, stream):
    data = golden(stream)
    for chunks, actions in (('chunks', 'actions'), ('chunks_norm', 'actions_norm')):
        ours = run_in_lock_step(
            queue(8),
            make_chunk,
            data[chunks],
            data['infer_step'],
            len(data[actions]),
            resets={int(step) for step in data['reset_steps']},
        )
        assert np.array_equal(ours, data[actions])


@pytest.mark.parametrize('rate_hz', RATES_HZ)
def test_diffusion_horizon_parity_when_the_graph_gives_all_16_steps(make_chunk, golden, rate_hz):
    """n_obs_steps 2, horizon 16: action 1 belongs to the observation, LeRobot slices [1, 9)."""
    data = golden('diff_ddim10')
    rng = np.random.default_rng(0)
    chunks = rng.normal(size=(len(data['chunks']), 16, 6)).astype(np.float32)
    chunks[:, 1:9] = data['chunks']
    timeline = queue(8)
    epoch = 0
    inferred = dict(zip(data['infer_step'].tolist(), chunks, strict=True))
    for step, action in enumerate(data['actions']):
        if step in data['reset_steps']:
            epoch += 1
            timeline.clear(epoch)
        t_ns = grid(step, rate_hz)
        if step in inferred:
            chunk = make_chunk(
                inferred[step],
                dt_ns=round(1e9 / rate_hz),
                stamp_ns=t_ns,
                stamp_index=1,
                epoch=epoch,
            )
            assert timeline.add(chunk).accepted
        assert np.array_equal(timeline.at(t_ns).values, action)


@pytest.mark.parametrize('stream', ['act_queue_c20_k8', 'diff_ddim10', 'diff_ddpm100'])
def test_trigger_parity_with_the_steps_of_select_action(golden, stream):
    data = golden(stream)
    trigger = InferenceTrigger('every_n_action_steps', dt_ns=DT_NS, n_action_steps=8)
    resets, inferred = set(data['reset_steps'].tolist()), []
    for step in range(len(data['actions'])):
        if step in resets:
            trigger.reset()
        now_ns = step * DT_NS
        if trigger.decide(now_ns=now_ns, observation_ns=now_ns) is TriggerDecision.INFER:
            trigger.started(now_ns=now_ns, observation_ns=now_ns)
            trigger.finished(received_ns=now_ns)
            inferred.append(step)
    assert inferred == data['infer_step'].tolist()


# ---- asynchronous references -------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'options', 'expected'),
    [
        ('weighted_average', {'old_share': 0.3}, 1.7),
        ('weighted_average', {'old_share': 0.5}, 1.5),
        ('weighted_average', {'old_share': 0.7}, 1.3),
        ('latest', {}, 2.0),
    ],
)
def test_aggregate_parity_with_the_asynchronous_client_of_lerobot(
    make_chunk, name, options, expected
):
    """Step 9 is executed, 10..13 are queued with 1; a chunk for 8..15 with 2 comes."""
    timeline = Timeline(make_strategy(name, options))
    timeline.add(make_chunk(np.ones(14), step=0))
    timeline.add(make_chunk(np.full(8, 2.0), step=8))
    values = [timeline.at(step * 100_000_000).values[0] for step in range(10, 16)]
    assert values == pytest.approx([expected] * 4 + [2.0, 2.0])


def test_repeated_weighted_average_parity_with_lerobot(make_chunk):
    timeline = Timeline(make_strategy('weighted_average', {'old_share': 0.3}))
    for step, value in enumerate((1.0, 2.0, 3.0)):
        timeline.add(make_chunk(np.full(6, value), step=step))
    assert timeline.at(300_000_000).values[0] == pytest.approx(2.61)


def test_a_short_or_late_chunk_does_not_wipe_the_plan_as_it_does_in_lerobot(make_chunk):
    timeline = Timeline(make_strategy('weighted_average', {'old_share': 0.3}))
    timeline.add(make_chunk(np.ones(21), step=0))
    timeline.add(make_chunk(np.full(6, 2.0), step=8))  # LeRobot forgets steps 14..20
    assert timeline.at(1_700_000_000).values[0] == 1.0
    late = make_chunk(np.full(3, 9.0), step=9, received_ns=1_500_000_000)  # LeRobot: empty queue
    assert timeline.add(late) is AddResult.EXPIRED
    assert timeline.at(1_700_000_000).values[0] == 1.0


def test_late_drop_parity_with_diffusion_policy(make_chunk):
    """dt 0.1 s, observed at 10.0, usable at 10.25: actions 3..14 run at 10.3, 10.4, ..."""
    timeline = Timeline(
        make_strategy('receding_horizon', {'n_action_steps': 15}), start_from_rest=False
    )
    chunk = make_chunk(np.arange(15.0), step=100, received_ns=10_250_000_000)
    assert timeline.add(chunk) is AddResult.ACCEPTED
    times_ns = range(10_300_000_000, 11_500_000_000, 100_000_000)
    assert [timeline.at(t).values[0] for t in times_ns] == list(range(3, 15))


def test_all_late_is_a_hole_where_diffusion_policy_plays_the_last_action(make_chunk):
    """Usable at 11.55: every action is past. The reference schedules action 14 at 11.63."""
    timeline = Timeline(
        make_strategy('receding_horizon', {'n_action_steps': 15}), start_from_rest=False
    )
    chunk = make_chunk(np.arange(15.0), step=100, received_ns=11_550_000_000)
    assert timeline.add(chunk) is AddResult.EXPIRED
    hole = timeline.at(11_630_000_000)
    assert isinstance(hole, Hole)
    assert hole.reason is HoleReason.NO_CHUNK


# ---- real-time chunking ------------------------------------------------------------------------

SMOOTH_LINEAR = [0.5444] * 4 + [0.6095, 0.6746, 0.7397, 0.8048, 0.8698, 0.9349, 1.0]
SMOOTH_EXP = [0.5444] * 4 + [0.6918, 0.8025, 0.8832, 0.9392, 0.9749, 0.9942, 1.0]


@pytest.mark.parametrize(
    ('schedule', 'expected'), [('linear', SMOOTH_LINEAR), ('exp', SMOOTH_EXP)]
)
def test_soft_mask_parity_with_guided_sampling_of_lerobot(make_chunk, schedule, expected):
    """Policy wants 1, the plan says 0.5; delay 4, window 10, 10 denoising steps of weight 10."""
    size = 16
    timeline = Timeline(
        make_strategy(
            'real_time_chunking',
            {'execution_horizon': size - 10, 'schedule': schedule, 'strength': 0.911111},
        )
    )
    timeline.add(make_chunk(np.full(40, 0.5), step=0))
    timeline.add(make_chunk(np.ones(size), step=8, received_ns=1_200_000_000))
    values = [timeline.at((8 + i) * 100_000_000).values[0] for i in range(11)]
    assert values == pytest.approx(expected, abs=6e-5)


def test_a_short_running_plan_does_not_pull_to_zero_as_it_does_in_lerobot(make_chunk):
    """Left over: 3 steps of 1; the policy wants 1. LeRobot pads with zeros and gives 0.29."""
    timeline = Timeline(make_strategy('real_time_chunking', {'execution_horizon': 6}))
    timeline.add(make_chunk(np.ones(11), step=0))
    timeline.add(make_chunk(np.ones(16), step=8, received_ns=1_000_000_000))
    values = [timeline.at((8 + i) * 100_000_000).values[0] for i in range(16)]
    assert values == pytest.approx([1.0] * 16)
