# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Names of models that no file system likes are answered, not raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from bc_runtime.policy.errors import ModelNotFound
from bc_runtime.policy.model_path import find_model
from bc_runtime.spec.text_formats import TextFormatError, parse_yaml


@pytest.mark.parametrize(
    'name', ['~nobody-of-this-name/x.onnx', 'x' * 300, 'x' * 300 + '.onnx', 'a/' * 3000 + 'x']
)
def test_a_name_that_no_file_can_have_is_not_found(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        find_model(name, model_dirs=[tmp_path])


@pytest.mark.parametrize('text', ['x: !!bool maybe', 'x: !!int ""', 'x: !!timestamp foo'])
def test_tags_that_do_not_fit_are_no_valid_yaml(text: str) -> None:
    with pytest.raises(TextFormatError, match='not valid YAML'):
        parse_yaml(text)
