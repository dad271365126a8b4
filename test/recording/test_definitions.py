# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
import sys

import pytest

from bc_runtime.recording.decoder import MessageDecoder
from bc_runtime.recording.definitions import DefinitionLibrary
from bc_runtime.recording.errors import DefinitionNotFound
from bc_runtime.spec.errors import RecordingError

RULE = '=' * 80


def write_type(prefix, name, text, type_hash=''):
    package, _, type_name = name.partition('/msg/')
    folder = prefix / 'share' / package / 'msg'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{type_name}.msg').write_text(text)
    if type_hash:
        hashes = [
            {'type_name': 'other/msg/Nested', 'hash_string': 'RIHS01_wrong'},
            {'type_name': name, 'hash_string': type_hash},
        ]
        (folder / f'{type_name}.json').write_text(json.dumps({'type_hashes': hashes}))


def test_definition_holds_nested_types_once_in_sorted_depth_first_order(tmp_path):
    write_type(tmp_path, 'a_msgs/msg/Stamp', 'int32 sec\n')
    write_type(tmp_path, 'a_msgs/msg/Head', 'a_msgs/Stamp stamp\nstring<=10 frame\n')
    write_type(
        tmp_path,
        'a_msgs/msg/Root',
        '# Zebra not_a_field\nuint8 ZERO=0\nPart[] parts\na_msgs/Head head  # Ghost ghost\n'
        'a_msgs/Stamp[<=3] stamps\n',
        'RIHS01_right',
    )
    write_type(tmp_path, 'a_msgs/msg/Part', 'Head head\nfloat64[2] x\n')

    definition = DefinitionLibrary([tmp_path]).get('a_msgs/msg/Root')

    assert definition.encoding == 'ros2msg'
    assert definition.type_hash == 'RIHS01_right'
    titles = [line for line in definition.text.splitlines() if line.startswith('MSG: ')]
    assert titles == ['MSG: a_msgs/Head', 'MSG: a_msgs/Stamp', 'MSG: a_msgs/Part']
    assert f'\n{RULE}\nMSG: a_msgs/Stamp\nint32 sec\n' in definition.text
    # An independent parser understands the text.
    MessageDecoder().add(
        type_name=definition.type, encoding=definition.encoding, text=definition.text
    )


def test_definition_earlier_prefix_overlays_later_one(tmp_path):
    write_type(tmp_path / 'under', 'a_msgs/msg/A', 'int8 old\n')
    write_type(tmp_path / 'over', 'a_msgs/msg/A', 'int8 new\n')
    library = DefinitionLibrary([tmp_path / 'over', tmp_path / 'under'])
    assert library.get('a_msgs/A').text == 'int8 new\n'


def test_definition_prefixes_come_from_ament_prefix_path(tmp_path, monkeypatch):
    write_type(tmp_path, 'a_msgs/msg/A', 'int8 a\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path}')
    assert DefinitionLibrary().get('a_msgs/msg/A').text == 'int8 a\n'


def test_definition_of_idl_type_falls_back_to_idl(tmp_path):
    folder = tmp_path / 'share' / 'i_msgs' / 'msg'
    folder.mkdir(parents=True)
    (folder / 'A.idl').write_text(
        '#include "i_msgs/msg/B.idl"\n'
        'module i_msgs { module msg { struct A { i_msgs::msg::B b; }; }; };\n'
    )
    (folder / 'B.idl').write_text('module i_msgs { module msg { struct B { long x; }; }; };\n')

    definition = DefinitionLibrary([tmp_path]).get('i_msgs/msg/A')

    assert definition.encoding == 'ros2idl'
    assert definition.text.startswith(f'{RULE}\nIDL: i_msgs/msg/A\n#include')
    assert f'\n{RULE}\nIDL: i_msgs/msg/B\nmodule' in definition.text
    decoder = MessageDecoder()
    decoder.add(type_name=definition.type, encoding=definition.encoding, text=definition.text)
    cdr = bytes([0, 1, 0, 0, 42, 0, 0, 0])
    assert decoder.decode('i_msgs/msg/A', cdr).b.x == 42


def test_definition_missing_nested_type_says_what_to_install(tmp_path):
    write_type(tmp_path, 'a_msgs/msg/A', 'gone_msgs/B b\n')
    with pytest.raises(DefinitionNotFound, match=r'share/gone_msgs/msg/B\.msg') as caught:
        DefinitionLibrary([tmp_path]).get('a_msgs/msg/A')
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize('name', ['Image', 'std_srvs/srv/Trigger', 'a/msg/b/c', ''])
def test_definition_of_what_is_no_message_type_is_refused(name):
    with pytest.raises(RecordingError, match='sensor_msgs/msg/Image'):
        DefinitionLibrary([]).get(name)


@pytest.mark.parametrize('name', ['sensor_msgs/msg/Image', 'trajectory_msgs/msg/JointTrajectory'])
def test_definition_of_installed_type_agrees_with_independent_hash(name, ros_types):
    if not (Path(sys.prefix) / 'share' / f'{name}.msg').is_file():
        pytest.skip('no ROS wheels in this environment')
    definition = DefinitionLibrary([sys.prefix]).get(name)
    assert definition.type_hash == ros_types.store.hash_rihs01(name)
