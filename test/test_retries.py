# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A test that passed only when it was repeated is named at the end of the run."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

FLAKY = """
import pathlib

import pytest

seen = pathlib.Path(__file__).with_name('seen')


def test_flaky():
    if not seen.exists():
        seen.touch()
        raise AssertionError('the machine was busy')


def test_steady(record_property):
    record_property('other', 'of no interest')


def test_void(record_property):
    record_property('void', '3 control ticks were missed')
"""
CONFTEST = """
import importlib.util

spec = importlib.util.spec_from_file_location('shared', {file!r})
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
pytest_terminal_summary = shared.pytest_terminal_summary
"""


@pytest.mark.parametrize('workers', [[], ['-n', '1']])
def test_a_test_that_needed_a_retry_is_named_at_the_end(
    tmp_path: Path, repository: Path, workers: list[str]
) -> None:
    """Regressions pinned: retries hid two rows that failed once in four."""
    (tmp_path / 'test_it.py').write_text(FLAKY, encoding='utf-8')
    conftest = CONFTEST.format(file=str(repository / 'test' / 'conftest.py'))
    (tmp_path / 'conftest.py').write_text(conftest, encoding='utf-8')
    (tmp_path / 'pytest.ini').write_text('[pytest]\n', encoding='utf-8')
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'pytest',
            '-q',
            '-p',
            'no:cacheprovider',
            '--reruns',
            '2',
            *workers,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [one for one in done.stdout.splitlines() if one.startswith('needed a retry: ')]
    assert line == 'needed a retry: 2 tests: test_it.py::test_flaky, test_it.py::test_void'
    assert 'test_it.py::test_flaky: AssertionError: the machine was busy' in done.stdout
    assert 'test_it.py::test_void: void, 3 control ticks were missed' in done.stdout
