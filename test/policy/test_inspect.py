# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc inspect`: what is printed, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

Build = Callable[..., Path]
Bc = Callable[..., tuple[int, str]]


def test_json_holds_every_fact(build: Build, bc: Bc) -> None:
    path = build(image=True, noise=True, recurrent=True, prefix=True, seed=4)
    code, text = bc('inspect', '--runs', 5, path, '--json', '--threads', 1)
    facts = json.loads(text)
    assert code == 0
    assert facts['problems'] == []
    assert facts['file']['opsets'] == {'ai.onnx': 17}
    assert facts['file']['size_bytes'] == path.stat().st_size
    assert len(facts['file']['sha256']) == 64
    assert facts['spec']['name'] == 'tiny'
    assert facts['self_test']['result'] == 'passed'
    assert facts['latency']['runs'] == 5
    assert 0 < facts['latency']['p50_ms'] <= facts['latency']['p99_ms']
    assert facts['machine']['threads'] == 1
    assert 'CPUExecutionProvider' in facts['machine']['providers']
    assert facts['graph']['provider'] == 'CPUExecutionProvider'


def test_the_readable_form_names_what_matters(build: Build, bc: Bc) -> None:
    path = build(image=True, noise=True, recurrent=True, prefix=True, seed=4)
    code, text = bc('inspect', '--runs', 5, path)
    assert code == 0
    for words in (
        'tiny 1 (mlp)', 'sha256 ', 'opset ai.onnx 17', '10 Hz', 'chunk of 4 (0.40 s)',
        'position of shoulder, elbow, gripper', 'camera front, rgb, stretch to 8x6 (area)',
        'normal noise', 'output hidden_next, 0.5 at reset', 'committed actions: delay',
        'joint_position  rad', 'self-test      passed', 'latency        p50',
        'front uint8 [1, 6, 8, 3]',
    ):  # fmt: skip
        assert words in text, words


def test_several_files_and_a_failing_one(build: Build, bc: Bc) -> None:
    good = build('good.onnx', seed=4)
    bad = build('bad.onnx', seed=4)
    model = onnx.load(bad)
    values = onnx.numpy_helper.to_array(model.graph.initializer[0]) * 1.5
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(values, 'weights'))
    onnx.save(model, bad)
    code, text = bc('inspect', '--runs', 5, good, bad)
    assert code == 1
    assert 'self-test      passed' in text
    assert 'self-test      FAILED (off by' in text
    assert 'PROBLEM:' in text
    assert 'the self-test failed on CPUExecutionProvider' in text


def test_a_model_without_a_spec_still_shows_its_graph(build: Build, bc: Bc) -> None:
    code, text = bc('inspect', '--runs', 5, build(spec=None))
    assert code == 1
    assert 'graph inputs   state float32 [1, 3]' in text
    assert 'has no policy spec' in text
    assert 'bc wrap' in text


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'state_name': 'obs'}, 'the policy spec and the graph differ'),
        ({'nan': True}, 'not finite'),
        ({'opset': 99}, 'Upgrade onnxruntime'),
    ],
)
def test_problems_are_printed(build: Build, bc: Bc, options: dict[str, Any], words: str) -> None:
    code, text = bc('inspect', '--runs', 5, build(**options))
    assert code == 1
    assert words in text


def test_a_provider_that_is_missing(build: Build, bc: Bc) -> None:
    code, text = bc('inspect', '--runs', 5, build(seed=4), '--provider', 'CUDAExecutionProvider')
    assert code == 1
    assert 'CUDAExecutionProvider cannot be used' in text


def test_no_such_model_and_no_onnx(bc: Bc, tmp_path: Path) -> None:
    code, text = bc('inspect', '--runs', 5, tmp_path / 'nowhere.onnx')
    assert code == 2
    assert 'there is no such file' in text
    (tmp_path / 'text.onnx').write_text('hello')
    code, text = bc('inspect', '--runs', 5, tmp_path / 'text.onnx')
    assert code == 2
    assert 'expected an ONNX model' in text
