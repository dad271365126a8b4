# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What is set while a process runs is kept for the process after it.

Regressions pinned: after a crash of inference the launch's policy acted, not the one that had been
swapped in; every other live parameter was lost, too.
"""

from __future__ import annotations

from collections.abc import Iterator
import os

import pytest

from bc_runtime.live_settings import VARIABLE, KeptSettings, LiveSettings


@pytest.fixture
def kept() -> Iterator[KeptSettings]:
    kept = KeptSettings()
    yield kept
    kept.close()


def test_the_value_that_was_set_last_is_kept(kept: KeptSettings) -> None:
    settings = LiveSettings(kept.descriptor)
    settings.note('model', 'a.onnx')
    settings.note('seed', 7)
    settings.note('model', "it's\n b.onnx")
    assert kept.read() == settings.read() == {'model': "it's\n b.onnx", 'seed': 7}


@pytest.mark.parametrize('value', [True, -3, 0.5, 'ä', [1.5, 2.0], ['a', 'b'], []])
def test_every_kind_of_parameter_comes_back_as_it_was(kept: KeptSettings, value: object) -> None:
    LiveSettings(kept.descriptor).note('x', value)
    assert kept.read() == {'x': value}
    assert type(kept.read()['x']) is type(value)


def test_a_process_that_dies_within_a_line_loses_this_line_only(kept: KeptSettings) -> None:
    LiveSettings(kept.descriptor).note('model', 'a.onnx')
    os.write(kept.descriptor, b'\n{"model": "b.on')
    assert kept.read() == {'model': 'a.onnx'}
    LiveSettings(kept.descriptor).note('seed', 1)
    assert kept.read() == {'model': 'a.onnx', 'seed': 1}


def test_without_a_supervisor_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    settings = LiveSettings.of_process()
    settings.note('model', 'a.onnx')
    assert settings.read() == {}
