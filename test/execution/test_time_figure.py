# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/time_figure.py, which draws the figure of docs/explanation/time.md."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import sys
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest

from bc_runtime.execution import Timeline, make_strategy

MS = 1_000_000


@pytest.fixture(scope='module')
def figure() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / 'scripts' / 'time_figure.py'
    spec = importlib.util.spec_from_file_location('time_figure', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules['time_figure'] = module
    spec.loader.exec_module(module)
    return module


def test_replay_tells_weights_and_the_hole_between_two_chunks(figure, make_chunk) -> None:
    chunks = [
        make_chunk(np.linspace(0.0, 1.0, 5), step=0, received_ns=20 * MS),
        make_chunk(np.linspace(1.0, 0.0, 5), step=8, received_ns=820 * MS),
    ]
    timeline = Timeline(make_strategy('temporal_ensemble'), start_from_rest=False)
    answers = list(figure.replay(chunks, timeline, 0, 0, 1200 * MS))
    holes = [(round(a, 2), round(b, 2), reason) for a, b, reason in figure._stretches(answers)]
    assert holes == [
        (0.0, 0.02, 'no_chunk'),
        (0.02, 0.5, ''),
        (0.5, 0.82, 'exhausted'),
        (0.82, 1.19, ''),
    ]
    assert answers[10].weights == {0: 1.0}
    assert answers[10].value == pytest.approx(0.25)


def test_the_drawing_is_xml_with_every_chunk_and_hole(figure, make_chunk) -> None:
    chunks = [
        make_chunk(np.linspace(0.0, 1.0, 5), step=step, received_ns=step * 100 * MS)
        for step in range(4)
    ]
    timeline = Timeline(make_strategy('temporal_ensemble'))
    answers = list(figure.replay(chunks, timeline, 0, 0, 1000 * MS))
    sent = (np.array([0.1, 0.2]), np.array([0.3, 0.4]))
    drawing = figure.draw(
        chunks, answers, sent, begin_ns=0, joint='joint_1', strategy='temporal_ensemble'
    )
    root = ElementTree.fromstring(drawing)
    lines = [e for e in root.iter() if e.tag.endswith('polyline') and e.get('class') == 'chunk']
    assert len(lines) == len(chunks)
    words = ' '.join(e.text or '' for e in root.iter() if e.tag.endswith('text'))
    assert 'hole: exhausted' in words
