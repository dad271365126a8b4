# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc wrap`: a spec and a self-test go into the file, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from bc_runtime.policy import ModelFileError, SelfTestFailed, SpecMismatch, load_policy
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.wrap import wrap_model
from bc_runtime.spec import PolicySpec, SpecError
from bc_runtime.spec.errors import PolicyError

Build = Callable[..., Path]
Bc = Callable[..., tuple[int, str]]


@pytest.fixture
def side(make_spec: Any, tmp_path: Path) -> Path:
    """Return a spec file away from the model."""
    path = tmp_path / 'spec.yaml'
    path.write_text(yaml.safe_dump(make_spec(name='wrapped')))
    return path


def test_a_wrapped_model_carries_spec_and_self_test(
    build: Build,
    side: Path,
    tmp_path: Path,
    state: np.ndarray,
    expected: np.ndarray,
    bc: Bc,
) -> None:
    out = tmp_path / 'out.onnx'
    code, text = bc('wrap', build(spec=None), '--spec', side, '-o', out, '--seed', 5)
    assert code == 0
    policy = load_policy(out)
    assert policy.spec.name == 'wrapped'
    assert policy.spec.self_test is not None
    assert policy.spec.self_test.seed == 5
    assert policy.self_test_error == 0.0
    np.testing.assert_allclose(policy.infer({'state': state}).values, expected, atol=1e-6)
    assert policy.policy_id in text


def test_nothing_else_changes(build: Build, side: Path, tmp_path: Path) -> None:
    path = build(spec=None)
    model = onnx.load(path)
    model.metadata_props.add(key='author', value='Ä. Nonym')
    onnx.save(model, path)
    out = tmp_path / 'out.onnx'
    spec = PolicySpec.from_yaml_file(side)
    wrap_model(path, spec, out)
    wrapped = onnx.load(out)
    onnx.checker.check_model(wrapped)
    assert wrapped.graph == model.graph
    assert wrapped.opset_import == model.opset_import
    assert [p.key for p in wrapped.metadata_props] == ['author', 'bc_policy']
    assert dict(read_onnx_file(out).metadata)['author'] == 'Ä. Nonym'


def test_a_state_of_whole_numbers_is_refused_with_its_cure(
    build: Build, side: Path, tmp_path: Path, bc: Bc
) -> None:
    """Regressions pinned: the error proposed bc wrap, which had just refused."""
    path = build(spec=None)
    model = onnx.load(path)
    (state,) = model.graph.input
    state.type.tensor_type.elem_type = onnx.TensorProto.INT64
    cast = onnx.helper.make_node('Cast', ['state'], ['as_float'], to=onnx.TensorProto.FLOAT)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == 'state':
                node.input[place] = 'as_float'
    model.graph.node.insert(0, cast)
    onnx.save(model, path)
    code, text = bc('wrap', path, '--spec', side, '-o', tmp_path / 'out.onnx')
    assert code == 2
    assert 'cut off fractions: let the model take and give floats and cast inside' in text


def test_wrapping_again_replaces_the_spec(
    build: Build, side: Path, make_spec: Any, tmp_path: Path
) -> None:
    first, second = tmp_path / 'first.onnx', tmp_path / 'second.onnx'
    wrap_model(build(spec=make_spec(name='older')), PolicySpec.from_yaml_file(side), first)
    wrap_model(first, PolicySpec.from_dict(make_spec(name='newer')), second)
    assert load_policy(second).spec.name == 'newer'
    assert [p.key for p in onnx.load(second).metadata_props] == ['bc_policy']
    assert first.stat().st_size == pytest.approx(second.stat().st_size, abs=20)


def test_a_side_file_may_stay_beside_the_wrapped_model(
    build: Build, make_spec: Any, tmp_path: Path
) -> None:
    path = build(spec=None)
    beside = path.with_name('tiny.policy.yaml')
    beside.write_text(yaml.safe_dump(make_spec()))
    wrap_model(path, PolicySpec.from_yaml_file(beside), path, overwrite=True)
    assert load_policy(path).self_test_error == 0.0


def test_external_data_comes_along(build: Build, side: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'far'
    folder.mkdir()
    source = folder / 'tiny.onnx'
    onnx.save(
        onnx.load(build(spec=None)),
        source,
        save_as_external_data=True,
        location='tiny.bin',
        size_threshold=100,
    )
    out = tmp_path / 'out.onnx'
    wrap_model(source, PolicySpec.from_yaml_file(side), out)
    source.with_name('tiny.bin').unlink()
    assert load_policy(out).self_test_error == 0.0
    other = tmp_path / 'other.onnx'
    (tmp_path / 'tiny.bin').write_bytes(b'of another model')
    onnx.save(
        onnx.load(build('b.onnx', spec=None)),
        source,
        save_as_external_data=True,
        location='tiny.bin',
        size_threshold=100,
    )
    with pytest.raises(ModelFileError, match='another external data file lies there'):
        wrap_model(source, PolicySpec.from_yaml_file(side), other)
    assert not other.exists()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'output_shape': (1, 2, 3)}, 'spec outputs:  action float32 [1, 4, 3]'),
        ({'state_name': 'obs'}, "the graph needs the input 'obs', unknown to the spec"),
    ],
)
def test_a_spec_that_does_not_match_writes_nothing(
    build: Build,
    side: Path,
    tmp_path: Path,
    options: Any,
    words: str,
    bc: Bc,
) -> None:
    path = build(spec=None, **options)
    before = sorted(tmp_path.iterdir())
    code, text = bc('wrap', path, '--spec', side, '-o', tmp_path / 'out.onnx')
    assert code == 2
    assert words in text
    assert sorted(tmp_path.iterdir()) == before


def test_a_graph_that_draws_its_own_noise_is_refused(
    build: Build, side: Path, tmp_path: Path
) -> None:
    path = build(spec=None)
    model = onnx.load(path)
    node = onnx.helper.make_node('RandomNormalLike', ['action_'], ['random'])
    model.graph.node[-1].output[0] = 'action_'
    add = onnx.helper.make_node('Add', ['action_', 'random'], ['action'])
    model.graph.node.extend([node, add])
    onnx.save(model, path)
    with pytest.raises(ModelFileError, match='gives two chunks for the same input'):
        wrap_model(path, PolicySpec.from_yaml_file(side), tmp_path / 'out.onnx')


def test_bad_requests(build: Build, side: Path, tmp_path: Path, bc: Bc) -> None:
    path = build(spec=None)
    out = tmp_path / 'out.onnx'
    cases = [
        (
            ['wrap', tmp_path / 'no.onnx', '--spec', side, '-o', out],
            'cannot be read: No such file',
        ),
        (['wrap', path, '--spec', tmp_path / 'no.yaml', '-o', out], 'cannot be read'),
        (['wrap', path, '--spec', side, '-o', tmp_path / 'out.bin'], 'ends in .onnx'),
        (['wrap', path, '--spec', side, '-o', path], 'exists already; choose another name'),
        (['wrap', path, '--spec', side, '-o', tmp_path / 'a' / 'out.onnx'], 'cannot be written'),
        (['wrap', side, '--spec', side, '-o', out], 'expected an ONNX model'),
        (['wrap', path, '--spec', side, '-o', out, '--seed', -1], 'seed of at least 0'),
        (['wrap', path, '--spec', side, '-o', out, '--tolerance', 0], 'finite tolerance above 0'),
    ]
    for words, expected in cases:
        code, text = bc(*words)
        assert code == 2, words
        assert expected in text
        assert not out.exists()


def test_the_stored_self_test_can_fail(build: Build, side: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out.onnx'
    wrap_model(build(spec=None), PolicySpec.from_yaml_file(side), out)
    data = bytearray(out.read_bytes())
    raw = onnx.load(out).graph.initializer[0].raw_data
    at = data.find(raw)
    data[at : at + 4] = np.float32(9.0).tobytes()
    out.write_bytes(data)
    with pytest.raises(SelfTestFailed):
        load_policy(out)


def test_errors_are_of_the_project(build: Build, side: Path, tmp_path: Path) -> None:
    for error in (SpecMismatch, ModelFileError):
        assert issubclass(error, PolicyError)
    side.write_text('name: [')
    with pytest.raises(SpecError):
        PolicySpec.from_yaml_file(side)


def test_a_file_that_does_not_prove_itself_is_not_kept(
    build: Build, side: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bc_runtime.policy import wrap

    real = wrap._copy_with_spec

    def spoil(file: Any, target: Path, text: str) -> None:
        real(file, target, text)
        target.write_bytes(target.read_bytes()[:-10])

    monkeypatch.setattr(wrap, '_copy_with_spec', spoil)
    path = build(spec=None)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelFileError, match='truncated'):
        wrap_model(path, PolicySpec.from_yaml_file(side), tmp_path / 'out.onnx')
    assert sorted(tmp_path.iterdir()) == before
