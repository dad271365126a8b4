# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a model: each fault ends in one message that says what to do."""

from __future__ import annotations

from collections.abc import Callable
import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from bc_runtime.policy import (
    BackendUnavailable,
    ModelFileError,
    ModelNotAllowed,
    ModelNotFound,
    NonFiniteOutput,
    ProviderUnavailable,
    SelfTestFailed,
    SpecMismatch,
    SpecMissing,
    list_models,
    load_policy,
)
from bc_runtime.policy.errors import InferenceFailed
from bc_runtime.spec import BcError, SpecError

Build = Callable[..., Path]


def message(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert isinstance(error.value, BcError)
    return str(error.value)


def test_a_good_policy_gives_its_chunk(
    build: Build, state: np.ndarray, expected: np.ndarray
) -> None:
    policy = load_policy(build(seed=3))
    inference = policy.infer({'state': state})
    np.testing.assert_allclose(inference.values, expected, atol=1e-6)
    assert inference.values.dtype == np.float32
    assert not inference.values.flags.writeable
    assert inference.inference_ns > 0
    assert policy.provider == 'CPUExecutionProvider'
    assert policy.backend == 'onnxruntime'
    assert len(policy.policy_id) == 64
    assert policy.self_test_error <= 1e-5
    assert policy.warmup_s > 0


def test_the_policy_id_is_the_sha256_of_the_file(build: Build) -> None:
    import hashlib

    path = build(seed=3)
    assert load_policy(path).policy_id == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_bare_name_is_found_in_the_model_directories(build: Build, tmp_path: Path) -> None:
    path = build('arm_v2.onnx', seed=3)
    empty = tmp_path / 'empty'
    empty.mkdir()
    for name in ('arm_v2', 'arm_v2.onnx'):
        policy = load_policy(name, model_dirs=[empty, tmp_path / 'nowhere', tmp_path])
        assert policy.path == str(path.resolve())
    assert list_models([tmp_path, empty]) == ('arm_v2',)


def test_an_unknown_name_lists_the_models_and_the_nearest(build: Build, tmp_path: Path) -> None:
    build('arm_act.onnx')
    build('arm_mlp.onnx')
    with pytest.raises(ModelNotFound) as error:
        load_policy('arm_atc', model_dirs=[tmp_path])
    assert f'Models in {tmp_path}: arm_act, arm_mlp.' in message(error)
    assert "Did you mean 'arm_act'?" in message(error)
    assert error.value.available == ('arm_act', 'arm_mlp')


def test_a_missing_path_lists_what_lies_beside_it(build: Build, tmp_path: Path) -> None:
    build('arm_act.onnx')
    with pytest.raises(ModelNotFound, match=r'there is no such file.*arm_act'):
        load_policy(tmp_path / 'arm_ac.onnx')


def test_a_directory_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match='is a directory'):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ('address', 'words'),
    [
        ('policy.pt', 'no backend for .pt files; supported: files that end in .onnx, .pt2'),
        ('runs/last.ckpt', 'no backend for .ckpt files'),
        ('http://gpu-server:8000', 'no backend for http:// addresses'),
    ],
)
def test_other_kinds_of_model_list_what_is_supported(address: str, words: str) -> None:
    with pytest.raises(BackendUnavailable) as error:
        load_policy(address)
    assert words in message(error)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'the file is empty'),
        (b'schema_version: 1\nname: arm\n', 'expected an ONNX model, got a file that begins with'),
        (np.random.default_rng(5).bytes(4096), 'expected an ONNX model'),
        (b'PK\x03\x04' + bytes(100), 'expected an ONNX model'),
        (bytes(1000), 'expected an ONNX model'),
        (b'\x08\x08', 'expected an ONNX model'),  # a version and no graph
    ],
    ids=['empty', 'text', 'random', 'zip', 'zeros', 'no graph'],
)
def test_a_file_that_is_not_onnx(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / 'arm.onnx'
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as error:
        load_policy(path)
    assert words in message(error)
    assert str(path) in message(error)


@pytest.mark.parametrize('kept', [0.05, 0.3, 0.6, 0.95, -1])
def test_a_truncated_file_is_named_so(build: Build, kept: float) -> None:
    path = build(seed=3)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept) if kept > 0 else -1])
    with pytest.raises(ModelFileError) as error:
        load_policy(path)
    assert 'truncated or damaged' in message(error)


def test_every_truncation_ends_in_a_message(build: Build) -> None:
    path = build(seed=3)
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(BcError):
            load_policy(path)


def test_a_graph_that_onnxruntime_refuses(build: Build) -> None:
    path = build()
    model = onnx.load(path)
    model.graph.node[1].op_type = 'NoSuchOperator'
    onnx.save(model, path)
    with pytest.raises(ModelFileError, match=r'refuses the model.*NoSuchOperator'):
        load_policy(path)


@pytest.mark.parametrize('newer', [{'opset': 99}, {'ir_version': 99}])
def test_a_newer_format_says_what_runs_here(build: Build, newer: dict[str, int]) -> None:
    path = build(**newer)
    with pytest.raises(ModelFileError) as error:
        load_policy(path)
    assert 'Upgrade onnxruntime, or export the policy with an older opset' in message(error)
    assert '99' in message(error)


def test_no_spec_says_how_to_add_one(build: Build) -> None:
    path = build(spec=None)
    with pytest.raises(SpecMissing) as error:
        load_policy(path)
    assert "metadata property 'bc_policy' or a side file tiny.policy.yaml" in message(error)
    assert 'bc wrap tiny.onnx --spec' in message(error)


def test_a_side_file_serves_a_foreign_model(build: Build, make_spec: Any) -> None:
    path = build(spec=None)
    path.with_name('tiny.policy.yaml').write_text(yaml.safe_dump(make_spec(name='foreign')))
    assert load_policy(path).spec.name == 'foreign'


def test_a_side_file_lies_beside_a_link_too(build: Build, make_spec: Any, tmp_path: Path) -> None:
    path = build(spec=None)
    link = tmp_path / 'share' / 'arm.onnx'
    link.parent.mkdir()
    link.symlink_to(path)
    link.with_name('arm.policy.yaml').write_text(yaml.safe_dump(make_spec(name='foreign')))
    assert load_policy(link).spec.name == 'foreign'


def test_two_specs_that_differ_are_refused(build: Build, make_spec: Any) -> None:
    path = build(spec=make_spec())
    side = path.with_name('tiny.policy.yaml')
    side.write_text(yaml.safe_dump(make_spec()))
    assert load_policy(path).spec.name == 'tiny'
    side.write_text(yaml.safe_dump(make_spec(control_hz=20.0)))
    with pytest.raises(SpecError, match=r'differs from the spec inside tiny\.onnx; keep one'):
        load_policy(path)


def test_a_spec_of_a_newer_schema(build: Build, make_spec: Any) -> None:
    with pytest.raises(SpecError) as error:
        load_policy(build(spec=make_spec(schema_version=2, future_key=1)))
    assert 'reads up to version 1, the file has 2; upgrade bc_runtime' in message(error)


def test_a_spec_that_is_not_json(build: Build) -> None:
    path = build()
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {'bc_policy': '{"schema_version": 1,'})
    onnx.save(model, path)
    with pytest.raises(SpecError, match=r'bc_policy.*not valid JSON'):
        load_policy(path)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'state_name': 'stata'}, "input 'state' is not in the graph, which has stata"),
        ({'state_name': 'stata'}, "the graph needs the input 'stata', unknown to the spec"),
        (
            {'state_shape': (1, 1, 3)},
            'float32 [1, 3] in the spec but float32 [1, 1, 3]',
        ),
        ({'state_shape': (2, 3)}, 'float32 [1, 3] in the spec but float32 [2, 3]'),
        (
            {'state_type': onnx.TensorProto.DOUBLE},
            'float32 [1, 3] in the spec but float64 [1, 3]',
        ),
        (
            {'output_shape': (1, 2, 3)},
            "output 'action' is float32 [1, 4, 3] in the spec but float32 [1, 2, 3] in the graph",
        ),
    ],
)
def test_spec_and_graph_that_differ_print_both(
    build: Build, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpecMismatch) as error:
        load_policy(build(**options))
    assert words in message(error)
    for side in ('spec inputs:', 'graph inputs:', 'spec outputs:', 'graph outputs:'):
        assert side in message(error)


def test_a_missing_output_lists_the_graph_s(build: Build, make_spec: Any) -> None:
    spec = make_spec()
    spec['output']['name'] = 'actions'
    with pytest.raises(
        SpecMismatch, match=r"output 'actions' is not in the graph, which has action"
    ):
        load_policy(build(spec=spec))


def test_a_missing_hidden_state_output(build: Build, make_spec: Any) -> None:
    spec = make_spec(recurrent=True)
    spec['inputs'][1]['output'] = 'hidden_new'
    with pytest.raises(SpecMismatch, match=r"Did you mean 'hidden_next'\?"):
        load_policy(build(spec=spec, recurrent=True))


def test_free_dimensions_fit(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(state_shape=('batch', 3), declared_shape=('batch', 'K', 'D')))
    assert policy.infer({'state': state}).values.shape == (4, 3)


def test_a_wrong_output_shape_behind_free_dimensions_is_found_at_load(build: Build) -> None:
    with pytest.raises(InferenceFailed, match=r'shape \[1, 4, 3\].*got \[1, 2, 3\]'):
        load_policy(build(rows=2, declared_shape=(1, 'K', 3)))


def test_a_missing_self_test_is_a_warning(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        policy = load_policy(build())
    assert 'stores no self-test' in caplog.text
    assert np.isnan(policy.self_test_error)


def test_altered_weights_fail_the_self_test(build: Build) -> None:
    path = build(seed=3)
    model = onnx.load(path)
    values = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[1, 5] += 0.01
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(values, 'weights'))
    onnx.save(model, path)
    with pytest.raises(SelfTestFailed) as error:
        load_policy(path)
    assert "expected 'gripper' at step 1" in message(error)
    assert 'tolerance 0.0001' in message(error)
    assert 0.0001 < error.value.deviation < 0.011
    assert load_policy(path, self_test=False).spec.name == 'tiny'


def test_nan_is_found_before_the_policy_may_act(build: Build) -> None:
    with pytest.raises(NonFiniteOutput) as error:
        load_policy(build(nan=True))
    assert "4 of 12 predicted values are not finite, the first one is nan for 'elbow'" in message(
        error
    )


def test_a_provider_that_is_not_built_in(build: Build) -> None:
    path = build(seed=3)
    with pytest.raises(ProviderUnavailable) as error:
        load_policy(path, providers=['CUDAExecutionProvider', 'CPUExecutionProvider'])
    assert 'CUDAExecutionProvider cannot be used' in message(error)
    assert 'CPUExecutionProvider' in error.value.available


def test_a_misspelt_provider_gets_a_hint(build: Build) -> None:
    with pytest.raises(ProviderUnavailable, match=r"Did you mean 'CPUExecutionProvider'\?"):
        load_policy(build(seed=3), providers=['CPUExecutionProvder'])


def test_a_fallback_is_said_and_only_taken_when_allowed(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        policy = load_policy(
            build(seed=3), providers=['CUDAExecutionProvider'], allow_fallback=True
        )
    assert policy.provider == 'CPUExecutionProvider'
    assert 'going on with a fallback, as allowed' in caplog.text


def test_no_provider_at_all(build: Build) -> None:
    with pytest.raises(ProviderUnavailable, match='at least one execution provider'):
        load_policy(build(seed=3), providers=[])


def test_a_provider_that_silently_falls_back_is_noticed(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU package lists CUDA as available on machines without it, then runs on the CPU."""
    import onnxruntime

    listed = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: listed)
    real = onnxruntime.InferenceSession

    def create(path: str, **options: Any) -> Any:
        return real(path, **{**options, 'providers': ['CPUExecutionProvider']})

    monkeypatch.setattr(onnxruntime, 'InferenceSession', create)
    with pytest.raises(ProviderUnavailable, match='fell back to CPUExecutionProvider'):
        load_policy(build(seed=3), providers=listed)


def test_out_of_gpu_memory_at_load_says_what_to_do(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    listed = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: listed)

    def create(path: str, **_: Any) -> Any:
        raise RuntimeError(
            'BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size '
            '4194304; CUDA failure 2: out of memory'
        )

    monkeypatch.setattr(onnxruntime, 'InferenceSession', create)
    with pytest.raises(ProviderUnavailable, match='no memory left: close what else') as error:
        load_policy(build(seed=3), providers=listed)
    assert 'bc optimize --form fp16' in message(error)


def test_two_onnxruntime_distributions_are_refused(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.metadata

    monkeypatch.setattr(importlib.metadata, 'distribution', lambda name: name)
    with pytest.raises(BackendUnavailable, match='both onnxruntime and onnxruntime-gpu') as error:
        load_policy(build(seed=3))
    assert 'Keep one' in message(error)


def test_no_onnxruntime_says_what_to_install(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(BackendUnavailable, match=r'pip install "onnxruntime>=1.31"'):
        load_policy(build(seed=3))


def test_models_come_from_allowed_directories_only(build: Build, tmp_path: Path) -> None:
    path = build(seed=3)
    allowed = tmp_path / 'allowed'
    allowed.mkdir()
    link = allowed / 'inside.onnx'
    link.symlink_to(path)
    for each in (path, link, allowed / '..' / path.name):
        with pytest.raises(ModelNotAllowed) as error:
            load_policy(each, allowed_dirs=[allowed])
        assert str(allowed) in message(error)
    assert load_policy(link, allowed_dirs=[tmp_path]).spec.name == 'tiny'
    with pytest.raises(ModelNotAllowed, match=r'only: \(none\)'):
        load_policy(path, allowed_dirs=[])


def test_a_model_can_be_too_large(build: Build) -> None:
    with pytest.raises(ModelNotAllowed, match='at most 0 MB'):
        load_policy(build(seed=3), max_bytes=100)


def test_a_file_that_changes_while_it_is_loaded(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bc_runtime.policy import loader

    path = build(seed=3)
    real = loader.create_session

    def replace_meanwhile(*args: Any, **options: Any) -> Any:
        session = real(*args, **options)
        path.write_bytes(path.read_bytes() + b'')
        return session

    monkeypatch.setattr(loader, 'create_session', replace_meanwhile)
    with pytest.raises(ModelFileError, match='changed while it was loaded'):
        load_policy(path)


@pytest.mark.parametrize('shape', [(1, 3, 1), (1,), (), (1, None, 3)])
def test_a_shape_of_another_rank_does_not_fit(make_spec: Any, shape: Any) -> None:
    from bc_runtime.policy.signature import TensorInfo, check_signature, spec_outputs
    from bc_runtime.spec import PolicySpec

    spec = PolicySpec.from_dict(make_spec())
    state = TensorInfo(name='state', dtype='float32', shape=shape)
    with pytest.raises(SpecMismatch, match=r"input 'state' is float32 \[1, 3\] in the spec"):
        check_signature(spec, [state], spec_outputs(spec), source='tiny.onnx')
