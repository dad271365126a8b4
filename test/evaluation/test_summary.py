# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from bc_runtime.evaluation.episode_metrics import episode_metrics, gained
from bc_runtime.evaluation.episode_record import load_episode
from bc_runtime.evaluation.summary import summarize_demo
from bc_runtime.recording.labels import Outcome
from bc_runtime.recording.reader import BagReader


@dataclasses.dataclass
class FakeTrial:
    bag: str
    success: bool = True
    seed: int = 10_000
    instruction: str = 'put the red cube in the tray'
    wrong_object: bool = False
    duration_s: float = 2.0
    termination: str = 'success'


def metrics_of(path):
    with BagReader(path) as bag:
        return episode_metrics(load_episode(bag))


def test_metrics_equal_what_was_put_into_the_bag(make_episode, tmp_path):
    found = metrics_of(
        make_episode(tmp_path, 'a', late_ms=0.3, latency_ms=32.0, inference_ms=21.0)
    )
    assert found.control_rate_hz == pytest.approx(100.0)
    assert found.ticks == 200
    assert found.missed_ticks == 0
    np.testing.assert_allclose(found.jitter_ms, 0.3)
    np.testing.assert_allclose(found.latency_ms, 32.0)
    np.testing.assert_allclose(found.inference_ms, 21.0)
    np.testing.assert_allclose(found.overhead_ms, 11.0)
    assert found.latency_ms.size == 28
    assert found.limiter_active_fraction == pytest.approx(0.25, abs=0.03)
    assert found.starved_ticks == 0
    assert 0.005 < found.largest_tracking_error <= 0.01


def test_counters_that_begin_anew_within_an_episode_do_not_count_backwards():
    # The controller counts from its activation; a bag may begin before.
    assert gained(np.array([5, 5, 0, 0, 2])) == 2
    assert gained(np.array([998, 999, 1, 2])) == 3
    assert gained(np.array([7])) == 0


def test_metrics_count_missed_ticks_and_the_rate_they_cost(make_episode, tmp_path):
    found = metrics_of(make_episode(tmp_path, 'a', missed=20))
    assert found.missed_ticks == 20
    assert found.ticks == 180
    assert found.control_rate_hz == pytest.approx(179 / 1.99)


def test_metrics_of_a_bag_without_a_controller_are_none(make_episode, tmp_path):
    found = metrics_of(make_episode(tmp_path, 'a', status=False))
    assert found.control_rate_hz is None
    assert found.missed_ticks is None
    assert found.limiter_active_fraction is None
    assert found.latency_ms.size == 0
    assert found.command_jerk.size == 0
    assert found.inference_ms.size == 29


def test_record_finds_topics_by_type_and_name(make_episode, tmp_path):
    with BagReader(make_episode(tmp_path, 'a')) as bag:
        record = load_episode(bag)
    assert record.cameras == ('/front/image_raw/compressed', '/wrist/image_raw/compressed')
    assert record.policy == ('sim_arm_act', '1.0', 'act')
    assert (record.observations, record.invalid_observations) == (29, 1)
    assert record.commanded.names == ('joint_1', 'joint_2', 'gripper')
    # The measured joints follow the commanded ones 60 ms later.
    np.testing.assert_allclose(
        record.measured.of('joint_1')[6:], record.commanded.of('joint_1')[:-6], atol=1e-12
    )
    assert record.measured.of('joint_9') is None
    chunk = record.chunks[0]
    assert chunk.values.shape == (12, 3)
    assert chunk.t_s[0] == pytest.approx(0.1)
    assert chunk.t_s[-1] == pytest.approx(0.1 + 11 / 15)
    assert chunk.units == ('rad', 'rad', 'm')


def test_summary_has_every_figure_and_is_json(make_episode, tmp_path):
    trials = [
        FakeTrial(str(make_episode(tmp_path, 'a', latency_ms=20.0))),
        FakeTrial(str(make_episode(tmp_path, 'b', latency_ms=40.0, missed=3))),
        FakeTrial(
            str(make_episode(tmp_path, 'c', outcome=Outcome.FAILURE)),
            success=False,
            termination='timeout',
        ),
    ]
    summary = json.loads(
        json.dumps(summarize_demo(trials, memory_bytes=900_000_000, wall_s=61.234))
    )
    assert summary['episodes'] == 3
    assert summary['success_rate'] == pytest.approx(2 / 3)
    assert summary['success_rate_wilson_95'] == {'low': 0.2077, 'high': 0.9385}
    assert summary['control_rate_hz'] == pytest.approx((199 + 196 + 199) / (3 * 1.99), abs=1e-3)
    assert summary['missed_ticks'] == 3
    assert summary['latency_ms']['p50'] == 30.0
    assert summary['latency_ms']['p99'] == 40.0
    assert summary['inference_ms'] == {'p50': 20.0, 'p99': 20.0}
    assert summary['tick_jitter_ms'] == {'p50': 0.2, 'p99': 0.2}
    assert 0.2 < summary['limiter_active_fraction'] < 0.3
    # Third derivatives of the two joints of `Path3` over the policy's stretch, 0.2 s to 1.8 s.
    t = np.linspace(0.35, 1.65, 1000)
    jerk = np.stack([0.9 * 0.7**3 * np.cos(0.7 * t), 0.5 * 0.9**3 * np.sin(0.9 * t)])
    assert summary['mean_squared_jerk']['command'] == pytest.approx((jerk**2).mean(), rel=0.02)
    assert summary['mean_squared_jerk']['measured'] == pytest.approx((jerk**2).mean(), rel=0.1)
    assert summary['memory_peak_mb'] == 900.0
    assert summary['wall_s'] == 61.2
    assert summary['policy']['name'] == 'sim_arm_act'
    assert len(summary['policy']['id']) == 64
    assert summary['versions']['numpy'] == np.__version__
    assert summary['messages_dropped'] == 0
    assert [trial['success'] for trial in summary['trials']] == [True, True, False]
    assert summary['problems'] == []


def test_summary_counts_a_trial_whose_bag_is_lost(make_episode, tmp_path):
    trials = [
        FakeTrial(str(make_episode(tmp_path, 'a'))),
        FakeTrial(str(tmp_path / 'gone'), success=False),
    ]
    summary = summarize_demo(trials)
    assert summary['success_rate'] == 0.5
    assert summary['memory_peak_mb'] is None
    assert len(summary['problems']) == 1
    assert 'no bag at' in summary['problems'][0]


def test_summary_of_nothing():
    summary = summarize_demo([])
    assert summary['success_rate'] is None
    assert summary['success_rate_wilson_95'] is None
    assert summary['latency_ms'] == {'p50': None, 'p99': None}
