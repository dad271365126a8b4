# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ModelFolders: what the node may load, by default and when folders are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bc_runtime.resources import model_directories
from bc_runtime.ros.model_folders import ModelFolders
from bc_runtime.spec import PolicyError

SERVER = 'ws://10.0.0.7:8000'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for folder in ('mine', 'other'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'm.onnx').write_bytes(b'x')
    return tmp_path


def test_by_default_the_shipped_models_and_the_first_one_s_folder(files):
    folders = ModelFolders.of([''], str(files / 'mine/m.onnx'))
    folders.check(str(files / 'mine/m.onnx'))
    folders.check('sim_arm_act')
    with pytest.raises(PolicyError, match='these directories only'):
        folders.check(str(files / 'other/m.onnx'))
    assert set(model_directories()) <= set(folders.searched)


def test_named_folders_are_all_there_is(files):
    folders = ModelFolders.of([str(files / 'other')], str(files / 'mine/m.onnx'))
    folders.check('m')
    for model in (str(files / 'mine/m.onnx'), 'sim_arm_act'):
        with pytest.raises(PolicyError):
            folders.check(model)


def test_a_server_is_named_by_whoever_starts_the_node(files):
    folders = ModelFolders.of([''], SERVER)
    folders.check(SERVER)
    assert folders.allowed_for(SERVER) is None
    assert folders.allowed_for('sim_arm_act') is not None
    for there in (folders, ModelFolders.of([''], 'sim_arm_act')):
        with pytest.raises(PolicyError, match='named when the node starts'):
            there.check('ws://elsewhere:1')
