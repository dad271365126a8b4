# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The look into an ONNX file: the same facts as the onnx package finds, whatever the bytes."""

from __future__ import annotations

from collections.abc import Callable
import io
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import numpy as np
import onnx
import pytest

from bc_runtime.policy.errors import ModelFileError
from bc_runtime.policy.onnx_file import metadata_field, read_onnx_file
from bc_runtime.policy.protobuf import Window, WireError, read_fields

Build = Callable[..., Path]


def test_the_facts_of_the_golden_files(repository: Path) -> None:
    for path in sorted((repository / 'test' / 'golden').glob('*.onnx')):
        model = onnx.load(path)
        file = read_onnx_file(path)
        assert file.ir_version == model.ir_version
        assert dict(file.opsets) == {o.domain or 'ai.onnx': o.version for o in model.opset_import}
        assert file.producer == f'{model.producer_name} {model.producer_version}'.strip()
        assert file.external_data == ()


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=300), st.text(max_size=300))
def test_property_an_appended_metadata_entry_is_valid(key: str, value: str) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], 'empty', [], []))
    read = onnx.ModelProto.FromString(model.SerializeToString() + metadata_field(key, value))
    assert [(p.key, p.value) for p in read.metadata_props] == [(key, value)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_property_damaged_bytes_are_read_or_refused(
    data: st.DataObject, build: Build, tmp_path: Path
) -> None:
    content = bytearray(build(recurrent=True).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / 'damaged.onnx'
    path.write_bytes(content)
    try:
        assert read_onnx_file(path).ir_version
    except ModelFileError as error:
        assert str(path) in str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_property_fields_cover_any_bytes_or_are_refused(content: bytes) -> None:
    end = 0
    try:
        for each in read_fields(Window(io.BytesIO(content)), 0, len(content)):
            assert end < each.end <= len(content)
            end = each.end
    except WireError:
        return
    assert end == len(content)


def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_no_crash(tmp_path: Path) -> None:
    content = onnx.helper.make_model(
        onnx.helper.make_graph(
            [],
            'big',
            [],
            [],
            [
                onnx.numpy_helper.from_array(np.zeros(100_000, np.float32), str(i))
                for i in range(4)
            ],
        )
    ).SerializeToString()
    path = tmp_path / 'shrinking.onnx'
    path.write_bytes(content)
    with path.open('rb') as file:
        fields = read_fields(Window(file), 0, len(content))
        next(fields)
        path.write_bytes(content[:20])
        with pytest.raises(WireError):
            for each in fields:
                list(read_fields(Window(file), each.start, each.end))
