# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bc_runtime.execution import DelayTracker, InferenceTrigger, TriggerDecision
from bc_runtime.spec import ExecutionError

MS = 1_000_000
DT_NS = 50 * MS


def run(trigger, *, until_ms, delay_ms, camera_ms=10, remaining=None):
    """Return when inference started [ms]; each camera tick gives a new observation."""
    started, ready_ns, now_ns = [], None, 0
    while now_ns < until_ms * MS:
        if ready_ns is not None and now_ns >= ready_ns:
            trigger.finished(received_ns=now_ns)
            ready_ns = None
        observation_ns = now_ns - now_ns % (camera_ms * MS)
        decision = trigger.decide(
            now_ns=now_ns,
            observation_ns=observation_ns,
            remaining_s=remaining(now_ns) if remaining else None,
        )
        if decision is TriggerDecision.INFER:
            assert not trigger.in_flight
            trigger.started(now_ns=now_ns, observation_ns=observation_ns)
            started.append(now_ns // MS)
            ready_ns = now_ns + delay_ms * MS
        now_ns += MS
    return started


def test_as_fast_as_possible_uses_the_newest_observation_and_never_two_at_once():
    trigger = InferenceTrigger('as_fast_as_possible', dt_ns=DT_NS)
    assert run(trigger, until_ms=200, delay_ms=25, camera_ms=10) == [
        0, 25, 50, 75, 100, 125, 150, 175,
    ]  # fmt: skip
    trigger = InferenceTrigger('as_fast_as_possible', dt_ns=DT_NS)
    assert run(trigger, until_ms=200, delay_ms=5, camera_ms=40) == [0, 40, 80, 120, 160]


def test_rate_does_not_make_up_for_what_it_missed_and_keeps_its_grid():
    trigger = InferenceTrigger('rate', dt_ns=DT_NS, rate_hz=20.0)
    assert run(trigger, until_ms=300, delay_ms=10) == [0, 50, 100, 150, 200, 250]
    slow = InferenceTrigger('rate', dt_ns=DT_NS, rate_hz=20.0)
    assert run(slow, until_ms=300, delay_ms=70) == [0, 70, 140, 210, 280]
    once = InferenceTrigger('rate', dt_ns=DT_NS, rate_hz=20.0)
    once.started(now_ns=0, observation_ns=0)
    once.finished(received_ns=170 * MS)  # 50, 100 and 150 are missed, one inference follows
    assert run_from(once, 170, until_ms=300) == [170, 200, 250]


def run_from(trigger, begin_ms, *, until_ms):
    started = []
    for now_ms in range(begin_ms, until_ms):
        now_ns = now_ms * MS
        if trigger.decide(now_ns=now_ns, observation_ns=now_ns) is TriggerDecision.INFER:
            trigger.started(now_ns=now_ns, observation_ns=now_ns)
            trigger.finished(received_ns=now_ns)
            started.append(now_ms)
    return started


def test_rate_does_not_drift_at_rates_that_are_no_whole_number_of_nanoseconds():
    trigger = InferenceTrigger('rate', dt_ns=DT_NS, rate_hz=30.0)
    started = 0
    for tick in range(30_000):  # 1000 s
        now_ns = round(tick * 1e9 / 30.0)
        decision = trigger.decide(now_ns=now_ns, observation_ns=now_ns)
        assert decision is TriggerDecision.INFER
        trigger.started(now_ns=now_ns, observation_ns=now_ns)
        trigger.finished(received_ns=now_ns)
        started += 1
    assert started == 30_000


def test_every_n_action_steps_starts_early_enough_for_the_measured_delay():
    """8 steps of 50 ms, 90 ms of inference: the next chunk is there when the steps are used up."""
    trigger = InferenceTrigger('every_n_action_steps', dt_ns=DT_NS, n_action_steps=8)
    started = run(trigger, until_ms=2_000, delay_ms=90)
    assert started[:2] == [0, 400]  # the first delay is a warm-up and does not count
    assert started[2:] == list(range(710, 2_000, 310))
    late = InferenceTrigger(
        'every_n_action_steps', dt_ns=DT_NS, n_action_steps=8, compensate_delay=False
    )
    assert run(late, until_ms=1_300, delay_ms=90) == [0, 400, 800, 1_200]


def test_every_n_action_steps_renews_a_plan_that_ends_sooner():
    """The next observation, a step later, would come too late for a plan that ends before it."""
    trigger = InferenceTrigger('every_n_action_steps', dt_ns=DT_NS, n_action_steps=8)
    trigger.started(now_ns=0, observation_ns=0)
    trigger.finished(received_ns=0)
    at = {'now_ns': 100 * MS, 'observation_ns': 100 * MS}
    assert trigger.decide(**at, remaining_s=0.049) is TriggerDecision.INFER
    assert trigger.decide(**at, remaining_s=0.050) is TriggerDecision.NOT_DUE
    assert trigger.decide(**at) is TriggerDecision.NOT_DUE


def test_remaining_horizon():
    trigger = InferenceTrigger(
        'remaining_horizon', dt_ns=DT_NS, horizon_s=0.2, compensate_delay=False
    )
    started = run(
        trigger,
        until_ms=1_000,
        delay_ms=30,
        remaining=lambda t_ns: 0.5 - (t_ns % (500 * MS)) * 1e-9,
    )
    assert started[0] == 300
    assert all(t % 500 >= 300 for t in started)


def test_reasons():
    trigger = InferenceTrigger('every_n_action_steps', dt_ns=DT_NS, n_action_steps=4)
    assert trigger.decide(now_ns=0, observation_ns=None) is TriggerDecision.NO_OBSERVATION
    assert trigger.decide(now_ns=0, observation_ns=0) is TriggerDecision.INFER
    trigger.started(now_ns=0, observation_ns=0)
    assert trigger.decide(now_ns=MS, observation_ns=MS) is TriggerDecision.IN_FLIGHT
    with pytest.raises(ExecutionError, match='in flight'):
        trigger.started(now_ns=MS, observation_ns=MS)
    assert trigger.finished(received_ns=30 * MS) == 30 * MS
    assert trigger.decide(now_ns=40 * MS, observation_ns=0) is TriggerDecision.SAME_OBSERVATION
    assert trigger.decide(now_ns=40 * MS, observation_ns=40 * MS) is TriggerDecision.NOT_DUE
    with pytest.raises(ExecutionError, match='no inference is in flight'):
        trigger.finished(received_ns=50 * MS)


@pytest.mark.parametrize(
    'options',
    [
        {'mode': 'every_n_action_steps', 'n_action_steps': 8},
        {'mode': 'rate', 'rate_hz': 2.0},
        {'mode': 'as_fast_as_possible'},
    ],
)
def test_a_failed_inference_does_not_stall_the_robot(options):
    """lerobot's server rejects every later observation after one error in the policy."""
    trigger = InferenceTrigger(**options, dt_ns=DT_NS)
    trigger.started(now_ns=0, observation_ns=0)
    trigger.failed()
    assert not trigger.in_flight
    assert trigger.decide(now_ns=MS, observation_ns=0) is TriggerDecision.SAME_OBSERVATION
    assert trigger.decide(now_ns=MS, observation_ns=MS) is TriggerDecision.INFER


def test_a_still_robot_is_observed_again():
    """lerobot's server drops observations that look like the last; a radian robot starves."""
    trigger = InferenceTrigger('as_fast_as_possible', dt_ns=DT_NS)
    assert len(run(trigger, until_ms=1_000, delay_ms=10)) == 100


@pytest.mark.parametrize('mode', ['rate', 'every_n_action_steps'])
def test_a_clock_that_steps_back_does_not_stop_inference(mode):
    trigger = InferenceTrigger(mode, dt_ns=DT_NS, rate_hz=5.0, n_action_steps=8)
    trigger.started(now_ns=10**12, observation_ns=10**12)
    trigger.finished(received_ns=10**12)
    assert trigger.decide(now_ns=10**9, observation_ns=10**9) is TriggerDecision.INFER


def test_reset_forgets_the_plan_and_keeps_the_delays():
    trigger = InferenceTrigger('every_n_action_steps', dt_ns=DT_NS, n_action_steps=8)
    for now_ns in (0, 400 * MS):
        trigger.started(now_ns=now_ns, observation_ns=now_ns)
        trigger.finished(received_ns=now_ns + 30 * MS)
    trigger.reset()
    assert trigger.delays.estimate_ns == 30 * MS
    assert trigger.decide(now_ns=410 * MS, observation_ns=410 * MS) is TriggerDecision.INFER


@pytest.mark.parametrize(
    ('mode', 'name'),
    [
        ('rate', 'rate_hz'),
        ('every_n_action_steps', 'n_action_steps'),
        ('remaining_horizon', 'horizon_s'),
    ],
)
def test_the_option_of_a_mode_is_required(mode, name):
    with pytest.raises(ExecutionError, match=f'expected {name} above 0, got None'):
        InferenceTrigger(mode, dt_ns=DT_NS)
    with pytest.raises(ExecutionError, match=f'expected {name} above 0, got 0'):
        InferenceTrigger(mode, dt_ns=DT_NS, **{name: 0})


# ---- delays ------------------------------------------------------------------------------------


def test_the_first_inference_is_a_warm_up_and_does_not_count_lerobot_4223():
    delays = DelayTracker()
    assert delays.add(5_000 * MS) is False
    assert delays.estimate_ns is None
    assert delays.steps(DT_NS) == 0
    assert delays.add(30 * MS) is True
    assert delays.estimate_ns == 30 * MS
    delays.reset()
    assert delays.add(4_000 * MS) is False
    assert delays.estimate_ns is None


def test_a_slow_inference_is_forgotten():
    delays = DelayTracker(window=10, percentile=1.0)
    for delay_ms in (1, 5_000, *[30] * 9):
        delays.add(delay_ms * MS)
    assert delays.estimate_ns == 5_000 * MS
    delays.add(30 * MS)
    assert delays.estimate_ns == 30 * MS


def test_a_percentile_ignores_one_outlier_in_a_full_window():
    delays = DelayTracker(window=20, percentile=0.95, warm_up=0)
    for delay_ms in (*[30] * 19, 900):
        delays.add(delay_ms * MS)
    assert delays.estimate_ns == 30 * MS
    delays.add(900 * MS)
    assert delays.estimate_ns == 900 * MS


def test_steps_are_rounded_up():
    delays = DelayTracker(warm_up=0, window=1)
    for delay_ns, steps in ((0, 0), (1 * MS, 1), (50 * MS, 1), (50 * MS + 500, 1), (51 * MS, 2)):
        delays.add(delay_ns)
        assert delays.steps(DT_NS) == steps


def test_negative_delays_do_not_count():
    delays = DelayTracker(warm_up=0)
    assert delays.add(-1) is False
    assert delays.estimate_ns is None


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_property_the_estimate_is_one_of_the_newest_and_covers_its_share(delays_ns, percentile):
    delays = DelayTracker(window=20, percentile=percentile, warm_up=0)
    for delay_ns in delays_ns:
        delays.add(delay_ns)
    newest = delays_ns[-20:]
    assert delays.estimate_ns in newest
    covered = sum(d <= delays.estimate_ns for d in newest)
    assert covered >= percentile * len(newest) - 1e-6


@pytest.mark.parametrize('options', [{'window': 0}, {'percentile': 0.0}, {'percentile': 1.1}])
def test_impossible_trackers_are_refused(options):
    with pytest.raises(ExecutionError):
        DelayTracker(**options)
