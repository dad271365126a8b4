# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.recording.labels import EpisodeLabels, Outcome
from bc_runtime.recording.qos import QosProfile, dump_profiles, parse_profiles
from bc_runtime.spec.errors import RecordingError

durations = st.integers(0, 2**63 - 1)
profiles = st.builds(
    QosProfile,
    history=st.sampled_from(['keep_last', 'keep_all', 'unknown', 'system_default']),
    depth=st.integers(0, 1000),
    reliability=st.sampled_from(['reliable', 'best_effort']),
    durability=st.sampled_from(['transient_local', 'volatile']),
    deadline_ns=durations,
    lifespan_ns=durations,
    liveliness=st.sampled_from(['automatic', 'manual_by_topic']),
    liveliness_lease_ns=durations,
)


@settings(deadline=None)
@given(st.lists(profiles, max_size=3))
def test_qos_round_trip_property(expected):
    assert parse_profiles(dump_profiles(expected)) == tuple(expected)


def test_qos_of_old_bags_uses_integer_codes():
    text = (
        '- history: 3\n  depth: 0\n  reliability: 1\n  durability: 2\n'
        '  deadline: {sec: 2147483647, nsec: 4294967295}\n'
        '  lifespan: {sec: 9223372036, nsec: 854775807}\n'
        '  liveliness: 1\n  liveliness_lease_duration: {sec: 1, nsec: 5}\n'
        '  avoid_ros_namespace_conventions: false\n'
    )
    (profile,) = parse_profiles(text)
    assert (profile.history, profile.reliability, profile.durability) == (
        'unknown',
        'reliable',
        'volatile',
    )
    assert profile.lifespan_ns == 2**63 - 1
    assert profile.liveliness_lease_ns == 1_000_000_005


def test_qos_unknown_name_lists_the_known_ones():
    with pytest.raises(RecordingError, match='best_effort'):
        QosProfile(reliability='sometimes')


text_values = st.text(st.characters(exclude_categories=['Cs']), max_size=20)


@settings(deadline=None)
@given(
    instruction=text_values,
    note=text_values,
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    outcome=st.sampled_from(Outcome),
    extra=st.dictionaries(text_values.filter(lambda t: not t.startswith('bc.')), text_values),
)
def test_labels_round_trip_property(instruction, note, seed, outcome, extra):
    labels = EpisodeLabels(
        id='e', instruction=instruction, note=note, seed=seed, outcome=outcome, extra=extra
    )
    assert EpisodeLabels.from_custom_data(labels.to_custom_data(), default_id='x') == labels


def test_labels_of_a_foreign_bag_are_unlabeled_and_named_after_it():
    labels = EpisodeLabels.from_custom_data({'operator': 'Ada'}, default_id='rosbag2_2026')
    assert labels.id == 'rosbag2_2026'
    assert labels.outcome is Outcome.UNLABELED
    assert labels.extra == {'operator': 'Ada'}


@pytest.mark.parametrize('name', ['', '..', 'a/b', 'a\0b'])
def test_labels_id_must_be_a_directory_name(name):
    with pytest.raises(RecordingError, match='directory'):
        EpisodeLabels(id=name)


def test_labels_reserved_key_and_unknown_outcome_are_refused():
    with pytest.raises(RecordingError, match=r"'bc\.'"):
        EpisodeLabels(id='e', extra={'bc.outcome': 'success'})
    with pytest.raises(RecordingError, match='failure, success'):
        Outcome.from_name('won')
