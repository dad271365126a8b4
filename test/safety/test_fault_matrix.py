# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The fault matrix is complete, readable and true about the tests that it names."""

from __future__ import annotations

import ast
from dataclasses import replace
import json
from pathlib import Path
import re
from typing import Any

import pytest

from bc_runtime.safety.fault_matrix import (
    FaultMeasurement,
    FaultRow,
    case_table,
    fault_table,
    read_fault_matrix,
    read_fault_results,
)
from bc_runtime.spec.errors import ConfigError


@pytest.fixture(scope='module')
def rows() -> tuple[FaultRow, ...]:
    root = Path(__file__).resolve().parents[2]
    return read_fault_matrix(root / 'config' / 'fault_matrix.yaml')


def test_all_forty_six_rows_are_there(rows: tuple[FaultRow, ...]) -> None:
    assert [row.id for row in rows] == list(range(1, 47))


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


def test_every_row_of_processes_has_a_test(rows: tuple[FaultRow, ...], repository: Path) -> None:
    sources = [p.read_text(encoding='utf-8') for p in (repository / 'test/graph').glob('*.py')]
    recorded = {int(n) for one in sources for n in re.findall(r'faults\.add\(\s*(\d+),', one)}
    assert recorded == {row.id for row in rows if row.where == 'process'}


def test_what_is_missing_is_said_beside_the_requirement(rows: tuple[FaultRow, ...]) -> None:
    lacking = [replace(row, missing='the kill' if row.id == 16 else row.missing) for row in rows]
    line = fault_table(lacking).splitlines()[2 + 15]
    assert line.startswith('| 16 |')
    assert 'then FAULT; no motion by itself. **Not there:** the kill' in line


def measurement(**changes: Any) -> FaultMeasurement:
    fields = {'case': 'as usual', 'passed': True, 'note': 'it stopped', 'rate_hz': 100.0}
    return FaultMeasurement(**{**fields, **changes})


def test_the_table_shows_required_and_the_worst_measured(rows: tuple[FaultRow, ...]) -> None:
    measured = {
        1: [
            measurement(measured_s=0.1, bound_s=0.26, code='CAMERA_STALE', state='HELD'),
            measurement(measured_s=0.2571, bound_s=0.26, code='CAMERA_STALE', state='HELD'),
            measurement(rate_hz=200.0, measured_s=0.25, bound_s=0.255, state='HELD'),
        ],
        2: [measurement(), measurement(passed=False, note='kept | moving', state='AUTO')],
    }
    lines = fault_table(rows, measured).splitlines()
    assert len(lines) == 2 + 46
    assert '| Bound | At 100 Hz | At 200 Hz | Reaction |' in lines[0]
    assert '| ok 0.257 s of 0.260 s | ok 0.250 s of 0.255 s | CAMERA_STALE → HELD' in lines[2]
    assert '| **FAILED** | – | AUTO |' in lines[3]
    assert all(line.count('|') == 9 for line in lines)
    cases = case_table(measured).splitlines()
    assert len(cases) == 2 + 5
    assert cases[-1] == r'| 2 | 100 Hz | as usual | **FAILED** kept \| moving | – | – |'


def test_a_bound_in_control_periods_follows_the_rate(rows: tuple[FaultRow, ...]) -> None:
    """Regressions pinned: at 200 Hz a reaction within "1 tick" was allowed two of them."""
    by_number = {row.id: row for row in rows}
    for number in (10, 15, 22, 23, 29, 32):
        assert by_number[number].bound_at(100.0) == pytest.approx(0.02)
    assert by_number[22].bound_at(200.0) == pytest.approx(0.015)
    assert by_number[5].bound_at(200.0) == pytest.approx(0.105)
    assert by_number[7].bound_at(200.0) is None


def test_results_are_read_and_damage_is_named(tmp_path: Path) -> None:
    row = {
        'id': 5, 'rate_hz': 200.0, 'case': 'stopped', 'passed': True, 'measured': 'held',
        'measured_s': 0.1, 'bound_s': 0.11, 'code': 'JOINT_STATES_STALE', 'state': 'HELD',
        'wire': {'violations': 0},
    }  # fmt: skip
    file = tmp_path / 'faults.json'
    file.write_text(json.dumps({'rows': [row]}))
    assert read_fault_results(file) == {
        5: [
            FaultMeasurement(
                case='stopped', passed=True, rate_hz=200.0, note='held', measured_s=0.1,
                bound_s=0.11, code='JOINT_STATES_STALE', state='HELD', violations=0,
            )
        ]
    }  # fmt: skip
    file.write_text(json.dumps({'rows': [{'id': 5}]}))
    with pytest.raises(ConfigError, match=r'make faults.*case'):
        read_fault_results(file)


@pytest.mark.parametrize(
    ('old', 'new', 'says'),
    [
        ('    bound_s: 0.01\n', '    bound_s: null\n', 'only where bound_s'),
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
