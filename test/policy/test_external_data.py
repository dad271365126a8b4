# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Weights in files of their own: only plain files beside the model, and they count for its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import shutil

import numpy as np
import onnx
import pytest

from bc_runtime.policy import ModelFileError, load_policy
from bc_runtime.policy.onnx_file import read_onnx_file

Build = Callable[..., Path]


@pytest.fixture
def external(build: Build, tmp_path: Path) -> Path:
    """Return a model whose weights lie in `tiny.bin` beside it."""
    model = onnx.load(build(seed=3))
    folder = tmp_path / 'model'
    folder.mkdir()
    path = folder / 'tiny.onnx'
    onnx.save(model, path, save_as_external_data=True, location='tiny.bin', size_threshold=100)
    return path


def redirect(path: Path, location: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == 'location':
                entry.value = location
    path.write_bytes(model.SerializeToString())


def test_external_data_beside_the_model_loads(
    external: Path, state: np.ndarray, expected: np.ndarray
) -> None:
    policy = load_policy(external)
    np.testing.assert_allclose(policy.infer({'state': state}).values, expected, atol=1e-6)
    file = read_onnx_file(external)
    assert file.external_data == ('tiny.bin',)
    assert file.size == external.stat().st_size + external.with_name('tiny.bin').stat().st_size


def test_the_id_changes_with_the_external_weights(external: Path) -> None:
    before = read_onnx_file(external).sha256
    data = external.with_name('tiny.bin')
    data.write_bytes(data.read_bytes()[:-1] + b'x')
    assert read_onnx_file(external).sha256 != before


@pytest.mark.parametrize(
    'location',
    ['../tiny.bin', '/etc/passwd', 'sub/tiny.bin', '..', '*/_ORT_MEM_ADDR_/*', 'a\x5cb'],
)
def test_external_data_outside_the_directory_is_refused(external: Path, location: str) -> None:
    shutil.copy(external.with_name('tiny.bin'), external.parent.parent / 'tiny.bin')
    redirect(external, location)
    with pytest.raises(ModelFileError) as error:
        load_policy(external)
    assert 'must be a bare file name beside the model' in str(error.value)
    assert repr(location) in str(error.value)


def test_missing_external_data_is_named(external: Path) -> None:
    external.with_name('tiny.bin').unlink()
    with pytest.raises(ModelFileError, match=r"external data file 'tiny.bin' is missing"):
        load_policy(external)


def test_external_data_behind_a_link_is_refused(external: Path) -> None:
    data = external.with_name('tiny.bin')
    data.rename(external.parent.parent / 'elsewhere.bin')
    data.symlink_to(external.parent.parent / 'elsewhere.bin')
    with pytest.raises(ModelFileError, match='is a link'):
        load_policy(external)


def test_external_data_hidden_in_a_nested_graph_is_found(build: Build, tmp_path: Path) -> None:
    """A Loop's body has initializers of its own, and constants are attributes of nodes."""
    tensor = onnx.TensorProto(name='w', data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key='location', value='../secret')
    model = onnx.load(build())
    body = onnx.helper.make_graph([], 'body', [], [], [tensor])
    for attribute in (
        onnx.helper.make_attribute('body', body),
        onnx.helper.make_attribute('bodies', [body]),
        onnx.helper.make_attribute('values', [tensor]),
        onnx.helper.make_attribute('value', tensor),
    ):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        copy.graph.node[0].attribute.append(attribute)
        path = tmp_path / 'nested.onnx'
        path.write_bytes(copy.SerializeToString())
        with pytest.raises(ModelFileError, match=r"got '../secret'"):
            read_onnx_file(path)


def test_graphs_nested_without_end_are_refused(build: Build, tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([], 'innermost', [], [])
    for _ in range(20):
        node = onnx.helper.make_node('If', [], [], then_branch=graph)
        graph = onnx.helper.make_graph([node], 'outer', [], [])
    path = tmp_path / 'deep.onnx'
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelFileError, match='nested deeper'):
        read_onnx_file(path)
