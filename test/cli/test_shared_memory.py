# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Only the shared memory of dead participants is removed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from bc_runtime.cli.shared_memory import sweep_dead_segments

SIZE = 1000


@pytest.fixture
def segment(tmp_path: Path):
    def make(name: str, *, age_s: float = 60.0) -> Path:
        file, lock = tmp_path / name, tmp_path / f'{name}_el'
        file.write_bytes(b'x' * SIZE)
        lock.touch()
        then = lock.stat().st_mtime - age_s
        os.utime(lock, (then, then))
        return file

    return make


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_dead_participants_segment_and_its_lock_file_go(segment, tmp_path):
    segment('fastdds_0123456789abcdef')
    assert sweep_dead_segments(tmp_path) == SIZE
    assert names(tmp_path) == set()


def test_a_living_participants_segment_stays(segment, tmp_path):
    segment('fastdds_0123456789abcdef')
    holder = os.open(tmp_path / 'fastdds_0123456789abcdef_el', os.O_RDWR)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert sweep_dead_segments(tmp_path) == 0
        assert len(names(tmp_path)) == 2
    finally:
        os.close(holder)


def test_a_participant_that_may_still_be_starting_is_left_alone(segment, tmp_path):
    segment('fastdds_0123456789abcdef', age_s=1.0)
    assert sweep_dead_segments(tmp_path) == 0
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize('name', ['fastdds_port7411', 'sem.fastdds_port7411_mutex', 'other_app'])
def test_ports_and_files_of_others_are_left_alone(segment, tmp_path, name):
    segment(name)
    assert sweep_dead_segments(tmp_path) == 0
    assert len(names(tmp_path)) == 2


def test_a_lock_file_without_a_segment_goes(segment, tmp_path):
    segment('fastdds_0123456789abcdef').unlink()
    assert sweep_dead_segments(tmp_path) == 0
    assert names(tmp_path) == set()


def test_a_machine_without_the_folder_has_nothing_to_sweep(tmp_path):
    assert sweep_dead_segments(tmp_path / 'none') == 0
