# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Weights in files of their own: only plain files beside the model, and they count for its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import shutil
from typing import Any

import numpy as np
import onnx
import pytest

from bc_runtime.policy import ModelFileError, ModelNotAllowed, load_policy
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


# The cache of huggingface_hub: snapshots/<revision>/ holds links into blobs/ ---------------------


@pytest.fixture
def cached(external: Path, tmp_path: Path) -> Path:
    """Return the same model as the cache keeps it."""
    snapshot = tmp_path / 'hub' / 'models--me--arm' / 'snapshots' / 'abc123'
    blobs = snapshot.parents[1] / 'blobs'
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name, blob in (('tiny.onnx', 'aaaa'), ('tiny.bin', 'bbbb')):
        shutil.copy(external.with_name(name), blobs / blob)
        (snapshot / name).symlink_to(f'../../blobs/{blob}')
    return snapshot / 'tiny.onnx'


def test_a_model_of_the_hugging_face_cache_loads(
    cached: Path, external: Path, state: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    """Regressions pinned: its external data was sought among the blobs, and called missing."""
    policy = load_policy(cached)
    np.testing.assert_allclose(policy.infer({'state': state}).values, expected, atol=1e-6)
    assert policy.policy_id == load_policy(external).policy_id
    assert load_policy('tiny', model_dirs=[cached.parent]).policy_id == policy.policy_id
    (tmp_path / 'current').symlink_to(cached.parent)
    assert load_policy(tmp_path / 'current' / 'tiny.onnx').policy_id == policy.policy_id


def test_a_model_in_a_subfolder_of_the_cache_loads(cached: Path) -> None:
    folder = cached.parent / 'onnx'
    folder.mkdir()
    for name, blob in (('tiny.onnx', 'aaaa'), ('tiny.bin', 'bbbb')):
        (folder / name).symlink_to(f'../../../blobs/{blob}')
    assert load_policy(folder / 'tiny.onnx').policy_id == load_policy(cached).policy_id


def test_an_allowed_folder_of_the_cache_allows_its_blobs_through_its_links_only(
    cached: Path, tmp_path: Path
) -> None:
    load_policy(cached, allowed_dirs=[cached.parent])
    blobs = cached.parents[2] / 'blobs'
    with pytest.raises(ModelNotAllowed):
        load_policy(cached, allowed_dirs=[tmp_path / 'elsewhere'])
    shutil.copy(blobs / 'aaaa', blobs / 'x.onnx')
    with pytest.raises(ModelNotAllowed):
        load_policy(blobs / 'x.onnx', allowed_dirs=[cached.parent])


@pytest.mark.parametrize('target', ['secret', 'hub/models--me--arm/secret', 'hub/secret'])
def test_a_link_of_the_cache_leads_into_its_own_blobs_only(
    cached: Path, tmp_path: Path, target: str
) -> None:
    shutil.copy(cached.with_name('tiny.bin').resolve(), tmp_path / target)
    cached.with_name('tiny.bin').unlink()
    cached.with_name('tiny.bin').symlink_to(tmp_path / target)
    with pytest.raises(ModelFileError, match='is a link to'):
        load_policy(cached)


def test_blobs_that_are_a_link_themselves_are_not_followed(cached: Path, tmp_path: Path) -> None:
    blobs = cached.parents[2] / 'blobs'
    blobs.rename(tmp_path / 'secrets')
    blobs.symlink_to(tmp_path / 'secrets')
    with pytest.raises(ModelFileError, match='is a link to'):
        load_policy(cached)


def test_a_dangling_or_circular_link_is_missing(cached: Path) -> None:
    data = cached.with_name('tiny.bin')
    for target in ('../../blobs/none', 'tiny.bin'):
        data.unlink()
        data.symlink_to(target)
        with pytest.raises(ModelFileError, match='is missing'):
            load_policy(cached)


def test_an_ordinary_link_to_a_model_finds_the_data_beside_the_model(
    external: Path, tmp_path: Path
) -> None:
    link = tmp_path / 'current.onnx'
    link.symlink_to(external)
    assert load_policy(link).policy_id == load_policy(external).policy_id


def test_the_text_of_a_link_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'policy.onnx'
    path.write_text('../../blobs/aaaa1111')
    with pytest.raises(ModelFileError, match='text of a link into the Hugging Face cache'):
        load_policy(path)


def test_weights_that_are_replaced_while_the_model_loads_are_noticed(
    external: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regressions pinned: only the model's own file was compared with what was hashed."""
    from bc_runtime.policy import loader

    create = loader.create_session

    def replace_then_create(*args: Any, **options: Any) -> Any:
        data = external.with_name('tiny.bin')
        data.write_bytes(data.read_bytes()[:-1] + b'x')
        return create(*args, **options)

    monkeypatch.setattr(loader, 'create_session', replace_then_create)
    with pytest.raises(ModelFileError, match=r'tiny\.bin: the file changed while it was loaded'):
        load_policy(external)
