# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

from bc_runtime.recording.disk import DiskLevel, DiskSpace
from bc_runtime.recording.episode_writer import WriterState, WriterStatus
from bc_runtime.recording.problem import problem_of


def status(*, level: DiskLevel = DiskLevel.OK, **changes: Any) -> WriterStatus:
    fields: dict[str, Any] = {
        'state': WriterState.RECORDING, 'path': Path('bag'), 'messages': 10, 'bytes_written': 100,
        'dropped': 0, 'dropped_by_topic': {}, 'queued': 0,
        'disk': DiskSpace(free_bytes=1_500_000_000, level=level),
    }  # fmt: skip
    return WriterStatus(**{**fields, **changes})


def test_a_good_recording_has_no_problem() -> None:
    assert problem_of(status()) == ''


def test_drops_and_a_disk_that_fills_are_said_together() -> None:
    text = problem_of(status(dropped=3, level=DiskLevel.LOW))
    assert text.startswith('3 messages dropped')
    assert '1.5 GB of the disk are left' in text


def test_the_end_of_a_recording_is_what_counts() -> None:
    assert problem_of(status(dropped=3, error='the disk is full')) == 'the disk is full'
