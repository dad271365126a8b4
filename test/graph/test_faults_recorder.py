# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about the recorder: the robot never notices, the data is saved."""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil

from harness.command import BcCommand
from harness.reaction import goes_on, undisturbed
from harness.wire import NS
import pytest

from bc_runtime.recording.mcap_scan import has_end
from bc_runtime.recording.reader import BagReader

#: At most this much of an episode may be lost with its recorder [s].
LOSS_S = 1.0
#: Free space until the disk counts as full, larger than what others may write meanwhile.
ROOM_BYTES = 300_000_000


@pytest.fixture
def recorded(deploy):
    """Give a deployment with a recorder, in motion."""
    deployment = deploy(record=True)
    deployment.auto()
    return deployment


def episode(deployment, name):
    response = deployment.witness.start_episode(name)
    assert response.success, response.message
    return Path(response.path)


def goes_on_within(deployment, events, missed):
    """The motion must have gone on, apart from stops by a machine that was too busy."""
    w = deployment.witness
    codes = {event.code for event in w.events[events:]}
    assert not codes & {'INTERNAL_ERROR', 'CHECKER_VIOLATION', 'TRACKING_ERROR'}, w.tell()
    return w.status.missed_ticks - missed


def test_row_40_disk_is_full_and_row_41_recorder_dies(recorded, faults, tmp_path, domain):
    w = recorded.witness
    events, missed = w.mark(), w.status.missed_ticks
    # 40: another file takes the space that the recorder must leave free.
    free = shutil.disk_usage(tmp_path).free
    w.set_parameters('recorder', {'disk_warn_gb': 1e6, 'disk_stop_gb': (free - ROOM_BYTES) / 1e9})
    full = episode(recorded, 'full')
    w.watch(1.0)
    at_ns = w.now_ns()
    with (tmp_path / 'ballast').open('wb') as ballast:
        os.posix_fallocate(ballast.fileno(), 0, 2 * ROOM_BYTES)
        w.until(lambda: has_end(full / 'full_0.mcap'), 'the end of the bag')
    closed_s = (w.now_ns() - at_ns) / NS
    (tmp_path / 'ballast').unlink()
    w.until(lambda: 'RECORDER_DEGRADED' in w.status.reason, 'the warning')
    w.watch(1.0)
    late, wire = goes_on_within(recorded, events, missed), recorded.audit()
    with BagReader(full) as reader:
        assert reader.topics['/controller/status'].message_count > 50
    assert 'GB are free at' in recorded.log('recorder')
    w.call('recorder/stop_episode', _stop_request(), _stop_type())
    w.until(lambda: 'RECORDER' not in w.status.reason, 'the end of the warning')
    faults.add(
        40,
        'a file takes the space that the recorder must leave free',
        measured=f'bag closed and readable after {closed_s:.2f} s, {late} ticks missed',
        measured_s=closed_s,
        state='AUTO',
        report=wire,
    )
    # 41: kill -9 in the middle of an episode.
    w.set_parameters('recorder', {'disk_warn_gb': 0.0, 'disk_stop_gb': 0.0})
    recorded.auto_again()
    bag = episode(recorded, 'killed')
    events, missed = w.mark(), w.status.missed_ticks
    w.watch(3.0)
    at_ns = recorded.kill('recorder') + w.offset_ns
    w.watch(1.0)
    w.until(lambda: 'RECORDER_LOST' in w.status.reason, 'the warning')
    late, wire = goes_on_within(recorded, events, missed), recorded.audit()
    command = BcCommand(['recover', '--json', str(bag)], folder=tmp_path / 'bc', domain=domain)
    try:
        w.until(lambda: not command.attend(), 'the end of bc recover')
        code = command.wait()
        report = json.loads(command.stdout)
        # A kill in the middle of a write cuts the last chunk, which is then told.
        assert code == (3 if report['uncounted'] else 0), command.stderr
        assert report['lost'] == 0
    finally:
        command.close()
    with BagReader(report['path']) as reader:
        lost_s = (at_ns - reader.end_ns) / NS
        counts = {name: topic.message_count for name, topic in reader.topics.items()}
        for message in reader.messages():
            message.decode()
    assert counts['/controller/status'] > 100
    assert lost_s < LOSS_S, f'{lost_s:.2f} s are lost'
    faults.add(
        41,
        'kill -9 three seconds into an episode, then bc recover',
        measured=f'{report["messages"]} messages saved, the last {lost_s:.2f} s lost, '
        f'{late} ticks missed',
        state='AUTO',
        report=wire,
    )


@pytest.fixture
def moving(recorded):
    """Give what `undisturbed` may try again."""
    return recorded


@undisturbed
def test_row_42_recorder_is_slow(moving, faults):
    w = moving.witness
    w.call('recorder/stop_episode', _stop_request(), _stop_type())  # of an attempt that was void
    bag = episode(moving, f'slow_{len(w.events)}')
    events = w.mark()
    missed = w.status.missed_ticks
    # A writer that gets a quarter of the time: bursts of writing, and nothing in between. Of that
    # time it also needs some to say that it lives.
    for _ in range(5):
        moving.suspend('recorder')
        w.watch(0.45)
        moving.resume('recorder')
        w.watch(0.15)
    assert 'RECORDER' not in w.status.reason, w.status.reason
    moving.suspend('recorder')
    w.until(lambda: 'RECORDER_LOST' in w.status.reason, 'the warning')
    moving.resume('recorder')
    w.until(lambda: 'RECORDER_LOST' not in w.status.reason, 'the end of the warning')
    goes_on(moving, events)
    late, wire = w.status.missed_ticks - missed, moving.audit()
    w.call('recorder/stop_episode', _stop_request(), _stop_type())
    with BagReader(bag) as reader:
        kept = reader.topics['/controller/status'].message_count
    assert kept > 0
    assert late == 0, f'{late} ticks missed'
    faults.add(
        42,
        'the recorder is stopped for three quarters of three seconds, then for several seconds',
        measured=f'the motion goes on, {late} ticks missed; {kept} statuses recorded',
        state=w.state,
        report=wire,
    )


def _stop_type():
    from bc_msgs.srv import StopEpisode

    return StopEpisode


def _stop_request():
    return _stop_type().Request()
