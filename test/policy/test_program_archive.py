# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Exported programs are looked into before torch sees them; needs no torch."""

from __future__ import annotations

from collections.abc import Callable
import importlib
import io
import json
from pathlib import Path
from typing import Any
import zipfile

import pytest

from bc_runtime.policy import BackendUnavailable, ModelFileError, SpecMissing, load_policy
from bc_runtime.policy.inspection import inspect_model
from bc_runtime.policy.program.archive import read_program_file, read_program_spec
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.spec import SpecError

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'tiny_program.pt2'
GRAPH = 'models/model.json'
WEIGHTS = 'data/weights/model_weights_config.json'

Repack = Callable[..., Path]


@pytest.fixture
def repack(tmp_path: Path) -> Repack:
    """Return a function that writes the golden archive with changed, added or removed entries."""

    def write(**changes: Any) -> Path:
        with zipfile.ZipFile(GOLDEN) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        root = next(iter(entries)).split('/')[0]
        for key, change in changes.items():
            name = f'{root}/{key}'
            if change is None:
                del entries[name]
            elif callable(change):
                value = json.loads(entries[name])
                change(value)
                entries[name] = json.dumps(value).encode()
            else:
                entries[name] = change
        path = tmp_path / 'tiny.pt2'
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        return path

    return write


def first_node(graph: Any) -> Any:
    return graph['graph_module']['graph']['nodes'][0]


def test_an_archive_says_what_it_is() -> None:
    file = read_program_file(GOLDEN)
    assert file.torch_version.startswith('2.')
    assert len(file.sha256) == 64
    spec = read_program_spec(file)
    assert spec.name == 'tiny_program'
    assert spec.self_test is not None
    assert spec_of('tiny_program', [GOLDEN.parent]) == spec


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'data/weights/../../evil.py': b'x'}, 'the entry'),
        ({'code/__torch__.py': b'import os'}, 'the entry'),
        ({'data/constants/custom_obj_0': b'x'}, 'the entry'),
        ({'data/aotinductor/model/lib.so': b'x'}, 'the entry'),
        (
            {WEIGHTS: lambda v: next(iter(v['config'].values())).update(use_pickle=True)},
            'the pickled tensor',
        ),
        (
            {GRAPH: lambda v: v.update(guards_code=['__import__("os")'])},
            'guards written in Python',
        ),
        ({GRAPH: lambda v: v.update(range_constraints={'s0': {}})}, 'free dimensions'),
        ({GRAPH: lambda v: first_node(v).update(target='torch.hub.load')}, 'torch.hub.load'),
        ({GRAPH: lambda v: first_node(v).update(target='_operator.call')}, '_operator.call'),
        (
            {GRAPH: lambda v: first_node(v).update(target='torch.ops.aten.from_file.default')},
            'from_file',
        ),
        ({GRAPH: lambda v: first_node(v).update(target='torch.ops.evil.run.default')}, 'evil'),
        (
            {
                GRAPH: lambda v: first_node(v)['inputs'].append(
                    {'name': 'n', 'arg': {'as_sym_int': {'as_expr': {'expr_str': '__import__'}}}}
                )
            },
            'static shapes',
        ),
        (
            {
                GRAPH: lambda v: first_node(v)['inputs'].append(
                    {'name': 'n', 'arg': {'as_custom_obj': {'name': 'obj'}}}
                )
            },
            'as_custom_obj',
        ),
    ],
)
def test_what_could_run_code_is_refused(repack: Repack, changes: Any, words: str) -> None:
    path = repack(**changes)
    with pytest.raises(ModelFileError, match='could run code from the file') as error:
        read_program_file(path)
    assert words in str(error.value)
    with pytest.raises(ModelFileError):
        load_policy(path)


@pytest.mark.parametrize('cut', [0, 10, 1000, -10])
def test_a_truncated_archive_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / 'cut.pt2'
    path.write_bytes(GOLDEN.read_bytes()[: cut or 0])
    with pytest.raises(ModelFileError, match='expected an exported program of torch'):
        read_program_file(path)


@pytest.mark.parametrize(
    'changes', [{GRAPH: None}, {WEIGHTS: None}, {GRAPH: b'{'}, {GRAPH: b'[]'}, {WEIGHTS: b'{}'}]
)
def test_an_archive_with_parts_missing_is_refused(repack: Repack, changes: Any) -> None:
    with pytest.raises(ModelFileError, match='is none, or is truncated or damaged'):
        read_program_file(repack(**changes))


def test_only_what_was_looked_at_is_given_to_torch(tmp_path: Path) -> None:
    # Two archives in one: readers do not agree which of them is meant.
    other = io.BytesIO()
    with zipfile.ZipFile(other, 'w') as archive:
        archive.writestr('evil/data/sample_inputs/model.pt', b'EVIL')
    path = tmp_path / 'two.pt2'
    path.write_bytes(other.getvalue() + GOLDEN.read_bytes())
    content = read_program_file(path).content
    assert b'EVIL' not in content
    with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(GOLDEN) as golden:
        assert packed.namelist() == golden.namelist()
        assert all(packed.read(name) == golden.read(name) for name in golden.namelist())


def test_damaged_weights_are_noticed(repack: Repack, tmp_path: Path) -> None:
    path = tmp_path / 'damaged.pt2'
    data = bytearray(GOLDEN.read_bytes())
    with zipfile.ZipFile(GOLDEN) as archive:
        info = next(i for i in archive.infolist() if i.filename.endswith('weight_0'))
    start = info.header_offset + 30 + len(info.filename) + 80
    data[start : start + 8] = b'\xff' * 8
    path.write_bytes(bytes(data))
    with pytest.raises(ModelFileError, match='damaged'):
        read_program_file(path)


def test_a_program_needs_a_spec_of_a_known_schema(repack: Repack) -> None:
    path = repack(**{'extra/bc_policy.json': None})
    with pytest.raises(SpecMissing, match=r'tiny\.policy\.yaml'):
        load_policy(path)
    path = repack(**{'extra/bc_policy.json': lambda v: v.update(schema_version=99)})
    with pytest.raises(SpecError, match='upgrade bc_runtime'):
        load_policy(path)


def test_without_torch_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, *args: Any) -> Any:
        if name == 'torch':
            raise ImportError("No module named 'torch'")
        return real(name, *args)

    monkeypatch.setattr(importlib, 'import_module', missing)
    with pytest.raises(BackendUnavailable, match='export the policy to ONNX'):
        load_policy(GOLDEN)
    facts = inspect_model(GOLDEN, providers=[], threads=1, runs=1)
    assert facts['file']['format'].startswith('exported program of torch')  # type: ignore[index]
    assert any('need torch' in problem for problem in facts['problems'])  # type: ignore[union-attr]


def test_with_torch_it_acts() -> None:
    pytest.importorskip('torch', reason='needs torch (requirements/train.txt)')
    policy = load_policy(GOLDEN, threads=1)
    assert policy.self_test_error <= 1e-5
