# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from bc_runtime.observation import FieldPath, FieldPathError

MESSAGE = SimpleNamespace(
    wrench=SimpleNamespace(force=SimpleNamespace(x=1.0, y=2.0, z=3.5)),
    data=array('d', [4.0, 5.0]),
    poses=[SimpleNamespace(z=7)],
    grid=np.arange(6.0).reshape(2, 3),
    on=True,
    label='text',
)


class Slotted:
    """Looks like a generated message: slots with underscores, and a list of its fields."""

    __slots__ = ('_force',)

    def __init__(self) -> None:
        self._force = 1.0

    @property
    def force(self) -> float:
        return self._force

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        return {'force': 'double'}


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('wrench.force.z', 3.5),
        ('data[1]', 5.0),
        ('poses[0].z', 7.0),
        ('grid[1][2]', 5.0),
        ('on', 1.0),
    ],
)
def test_reads_numbers(path: str, value: float) -> None:
    assert FieldPath(path).read(MESSAGE) == value


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('wrench.force.zz', ['wrench.force', "'zz'", 'fields: x, y, z', "mean 'z'"]),
        ('wench.force', ['the message', "'wench'", 'wrench', "mean 'wrench'"]),
        ('wrench.force', ['expected a number', 'fields inside: x, y, z']),
        ('data[7]', ['data has 2 elements', '[7]']),
        ('wrench[0]', ['wrench is SimpleNamespace', 'expected a list']),
        ('label[0]', ['label is str', 'expected a list']),
        ('label', ['str', 'expected a number']),
    ],
)
def test_errors_say_where_and_what_is_available(path: str, words: list[str]) -> None:
    with pytest.raises(FieldPathError) as caught:
        FieldPath(path).read(MESSAGE)
    for word in words:
        assert word in str(caught.value)


def test_fields_of_generated_messages_are_listed() -> None:
    assert FieldPath('force').read(Slotted()) == 1.0
    with pytest.raises(FieldPathError, match='fields: force'):
        FieldPath('torque').read(Slotted())


@pytest.mark.parametrize('path', ['', 'a..b', 'a[', 'a[-1]', 'a[x]', '[0]', 'a b', 'a()', '1a'])
def test_what_is_no_path_is_refused_when_the_robot_is_read(path: str) -> None:
    with pytest.raises(FieldPathError, match='expected a field path'):
        FieldPath(path)
