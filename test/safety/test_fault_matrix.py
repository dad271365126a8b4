# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The fault matrix is complete, readable and true about the tests that it names."""

from __future__ import annotations

import ast
from pathlib import Path
import re

import pytest

from bc_runtime.safety.fault_matrix import (
    FaultMeasurement,
    FaultRow,
    fault_table,
    read_fault_matrix,
)
from bc_runtime.spec.errors import ConfigError


@pytest.fixture(scope='module')
def rows() -> tuple[FaultRow, ...]:
    root = Path(__file__).resolve().parents[2]
    return read_fault_matrix(root / 'config' / 'fault_matrix.yaml')


def test_all_forty_five_rows_are_there(rows: tuple[FaultRow, ...]) -> None:
    assert [row.id for row in rows] == list(range(1, 46))


def test_rows_that_are_not_injected_say_why(rows: tuple[FaultRow, ...]) -> None:
    elsewhere = {row.id: row.why for row in rows if row.where != 'process'}
    assert set(elsewhere) == {9, 33, 36}
    assert all(elsewhere.values())


def test_the_tests_that_rows_name_exist(rows: tuple[FaultRow, ...], repository: Path) -> None:
    known: dict[str, set[str]] = {}
    for row in rows:
        for name in row.unit:
            file, function = name.split('::')
            if file not in known:
                tree = ast.parse((repository / 'test' / file).read_text(encoding='utf-8'))
                known[file] = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
            assert function in known[file], f'row {row.id}: there is no {name}'


def test_the_explanation_names_only_tests_that_exist(repository: Path) -> None:
    text = (repository / 'docs' / 'explanation' / 'safety.md').read_text(encoding='utf-8')
    named = set(re.findall(r'`(test_[a-z0-9_]+)`', text))
    sources = [p.read_text(encoding='utf-8') for p in (repository / 'test/safety').glob('*.py')]
    assert len(named) > 20
    missing = {name for name in named if not any(f'def {name}(' in one for one in sources)}
    assert not missing


def test_the_table_shows_required_and_measured(rows: tuple[FaultRow, ...]) -> None:
    table = fault_table(
        rows,
        {
            1: FaultMeasurement(passed=True, measured_s=0.2571),
            2: FaultMeasurement(passed=False, note='kept moving'),
        },
    )
    lines = table.splitlines()
    assert len(lines) == 2 + 45
    assert 'ok 0.257 s' in lines[2]
    assert '**FAILED** kept moving' in lines[3]
    assert all(line.count('|') == 7 for line in lines)


@pytest.mark.parametrize(
    ('old', 'new', 'says'),
    [
        ('flags: [ESTOP]', 'flags: [E_STOP]', "got 'E_STOP'"),
        ('where: not_here', 'where: nowhere', 'expected one of'),
        ('schema_version: 1', 'schema_version: 2', 'version 1'),
        ('  - id: 2\n', '  - id: 1\n', 'increasing'),
        ('    where: unit\n    why: setting', '    where: process\n    why: setting', 'exactly'),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, repository: Path, old: str, new: str, says: str
) -> None:
    text = (repository / 'config' / 'fault_matrix.yaml').read_text(encoding='utf-8')
    assert old in text
    damaged = tmp_path / 'matrix.yaml'
    damaged.write_text(text.replace(old, new, 1), encoding='utf-8')
    with pytest.raises(ConfigError, match=r'matrix\.yaml') as error:
        read_fault_matrix(damaged)
    assert says in str(error.value)
