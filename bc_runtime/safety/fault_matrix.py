# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The fault matrix as data: read config/fault_matrix.yaml, write the table of it.

The same rows drive the tests that inject the faults and the documentation, so that what is written
is what is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from bc_runtime.safety.flags import Flag
from bc_runtime.safety.states import State
from bc_runtime.spec.errors import ConfigError
from bc_runtime.spec.fields import Fields

SCHEMA_VERSION = 1
Where = Literal['process', 'unit', 'not_here']
_WHERE = ('process', 'unit', 'not_here')


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """One row; the meaning of each key is written at the top of the YAML.

    Attributes:
        bound_s: From the injection to the first required command [s]; None if it is no time.
        flags: Flags that the supervisor may see.
        states: States in which the controller may end; empty if there is none left.
        why: Why it is not injected into processes; empty if it is.
        unit: Tests of the pure core, `file::function` under test/.
    """

    id: int
    fault: str
    inject: str
    require: str
    bound: str
    bound_s: float | None
    flags: tuple[Flag, ...]
    states: tuple[State, ...]
    where: Where
    why: str
    unit: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMeasurement:
    """What a run of the tests found for a row.

    Attributes:
        passed: Whether the requirement was met.
        measured_s: Measured time of the reaction [s]; None if there is none to measure.
        note: For people.
    """

    passed: bool
    measured_s: float | None = None
    note: str = ''


def read_fault_matrix(path: Path) -> tuple[FaultRow, ...]:
    """Read and validate the matrix.

    Raises:
        ConfigError: names the file, the key path, what was expected and what came.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'cannot be read: {error}', source=str(path)) from None
    fields = Fields(value, source=str(path))
    version = fields.integer('schema_version', minimum=1)
    if version > SCHEMA_VERSION:
        raise fields.fail('schema_version', f'this reads version {SCHEMA_VERSION}, got {version}')
    rows = tuple(_read_row(section) for section in fields.sections('rows'))
    fields.done()
    numbers = [row.id for row in rows]
    if numbers != sorted(set(numbers)):
        raise fields.fail('rows', f'expected increasing ids, got {numbers}')
    return rows


def fault_table(
    rows: Sequence[FaultRow], measured: Mapping[int, FaultMeasurement] | None = None
) -> str:
    """Return the matrix as a Markdown table: required, and measured where there is a result."""
    results = measured or {}
    lines = [
        '| # | Fault | Required | Bound | Measured | Tested |',
        '|---|---|---|---|---|---|',
    ]
    for row in rows:
        result = results.get(row.id)
        if result is None:
            found = '–'
        else:
            time = '' if result.measured_s is None else f'{result.measured_s:.3f} s'
            said = ', '.join(part for part in (time, result.note) if part)
            verdict = 'ok' if result.passed else '**FAILED**'
            found = f'{verdict} {said}'.strip()
        tested = {'process': 'processes', 'unit': 'core', 'not_here': 'not here'}[row.where]
        if row.why:
            tested += f': {row.why}'
        lines.append(
            f'| {row.id} | {row.fault} | {row.require} | {row.bound} | {found} | {tested} |'
        )
    return '\n'.join(lines) + '\n'


def _read_row(f: Fields) -> FaultRow:
    where = f.text('where', choices=_WHERE)
    why = f.text('why', '')
    if (where == 'process') == bool(why):
        raise f.fail('why', 'expected exactly for rows that are not injected into processes')
    bound_s = f.number('bound_s', None, above=0.0)
    row = FaultRow(
        id=f.integer('id', minimum=1),
        fault=f.text('fault', filled=True),
        inject=f.text('inject', filled=True),
        require=f.text('require', filled=True),
        bound=f.text('bound', filled=True),
        bound_s=bound_s,
        flags=tuple(Flag(_one_of(f, 'flags', flag, list(Flag))) for flag in f.texts('flags')),
        states=tuple(State(_one_of(f, 'states', one, list(State))) for one in f.texts('states')),
        where=where,  # type: ignore[arg-type]
        why=why,
        unit=f.texts('unit'),
    )
    f.done()
    return row


def _one_of(f: Fields, key: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise f.fail(key, f'expected one of {", ".join(choices)}; got {value!r}')
    return value
