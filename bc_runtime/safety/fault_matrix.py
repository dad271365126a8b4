# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The fault matrix as data: read config/fault_matrix.yaml and results, write tables of them.

The same rows drive the tests that inject the faults and the documentation, so that what is written
is what is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
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
        bound_dt: Control periods on top of `bound_s`.
        flags: Flags that the supervisor may see.
        states: States in which the controller may end; empty if there is none left.
        why: Why it is not injected into processes; empty if it is.
        unit: Tests of the pure core, `file::function` under test/.
        missing: What of the requirement is not there; empty if all of it is.
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
    bound_dt: int = 0
    missing: str = ''

    def bound_at(self, rate_hz: float) -> float | None:
        """Return the largest time allowed at a control rate [s]; None if the bound is no time."""
        return None if self.bound_s is None else self.bound_s + self.bound_dt / rate_hz


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMeasurement:
    """What a run of the tests found in one case of a row.

    Attributes:
        case: What was done, in words.
        passed: Whether the requirement was met.
        rate_hz: Control rate at which that was tried.
        note: What followed, in words.
        measured_s: Measured time of the reaction [s]; None if there is none to measure.
        bound_s: Largest time allowed [s]; None if the bound is no time.
        code: The reason that the controller gave; empty if it went on.
        state: Where the controller ended; empty if it has ended itself.
        violations: Commands on the wire that broke a limit; None where nobody looked.
    """

    case: str
    passed: bool
    rate_hz: float
    note: str = ''
    measured_s: float | None = None
    bound_s: float | None = None
    code: str = ''
    state: str = ''
    violations: int | None = None

    @property
    def share(self) -> float:
        """Measured time as a share of the time allowed; 0 where nothing is timed."""
        if self.measured_s is None or self.bound_s is None:
            return 0.0
        return self.measured_s / self.bound_s


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


def read_fault_results(path: Path) -> dict[int, list[FaultMeasurement]]:
    """Read what `make faults` measured (out/faults.json), by row.

    Raises:
        ConfigError: The file cannot be read or is no such file.
    """
    try:
        rows = json.loads(path.read_text(encoding='utf-8'))['rows']
        found: dict[int, list[FaultMeasurement]] = {}
        for row in rows:
            found.setdefault(int(row['id']), []).append(
                FaultMeasurement(
                    case=row['case'],
                    passed=row['passed'],
                    rate_hz=float(row['rate_hz']),
                    note=row['measured'],
                    measured_s=row['measured_s'],
                    bound_s=row['bound_s'],
                    code=row['code'],
                    state=row['state'],
                    violations=row['wire']['violations'] if 'wire' in row else None,
                )
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f'expected the results of `make faults`: {error!r}', source=str(path)
        ) from None
    return found


def fault_table(
    rows: Sequence[FaultRow], measured: Mapping[int, Sequence[FaultMeasurement]] | None = None
) -> str:
    """Return the matrix as a Markdown table: required, and the worst measured at each rate."""
    results = measured or {}
    rates = sorted({one.rate_hz for cases in results.values() for one in cases})
    heads = ('#', 'Fault', 'Required', 'Bound', *(f'At {rate:g} Hz' for rate in rates))
    heads += ('Reaction', 'Where')
    lines = [f'| {" | ".join(heads)} |', '|---' * len(heads) + '|']
    for row in rows:
        cases = results.get(row.id, ())
        where = {'process': 'processes', 'unit': 'core', 'not_here': 'not here'}[row.where]
        if row.why:
            where += f': {row.why}'
        required = f'{row.require}. **Not there:** {row.missing}' if row.missing else row.require
        verdicts = [_verdict([one for one in cases if one.rate_hz == rate]) for rate in rates]
        cells = (row.fault, required, row.bound, *verdicts, _reaction(cases), where)
        lines.append(f'| {row.id} | ' + ' | '.join(map(_cell, cells)) + ' |')
    return '\n'.join(lines) + '\n'


def case_table(measured: Mapping[int, Sequence[FaultMeasurement]]) -> str:
    """Return every case that was measured as a Markdown table."""
    heads = ('#', 'Rate', 'Injected', 'What followed', 'Time', 'Allowed')
    lines = [f'| {" | ".join(heads)} |', '|---' * len(heads) + '|']
    for number in sorted(measured):
        for one in measured[number]:
            time = '–' if one.measured_s is None else f'{one.measured_s:.3f} s'
            allowed = '–' if one.bound_s is None else f'{one.bound_s:.3f} s'
            note = one.note if one.passed else f'**FAILED** {one.note}'
            cells = (f'{one.rate_hz:g} Hz', one.case, note, time, allowed)
            lines.append(f'| {number} | ' + ' | '.join(map(_cell, cells)) + ' |')
    return '\n'.join(lines) + '\n'


def _verdict(cases: Sequence[FaultMeasurement]) -> str:
    if not cases:
        return '–'
    verdict = 'ok' if all(one.passed for one in cases) else '**FAILED**'
    timed = [one for one in cases if one.measured_s is not None]
    if not timed:
        return verdict
    worst = max(timed, key=lambda one: one.share)
    allowed = '' if worst.bound_s is None else f' of {worst.bound_s:.3f} s'
    return f'{verdict} {worst.measured_s:.3f} s{allowed}'


def _reaction(cases: Sequence[FaultMeasurement]) -> str:
    said = [f'{one.code} → {one.state}' if one.code else one.state for one in cases]
    return ', '.join(dict.fromkeys(each for each in said if each)) or '–'


def _cell(text: str) -> str:
    """Return text that stays in one cell of a table."""
    return ' '.join(text.replace('|', '\\|').split())


def _read_row(f: Fields) -> FaultRow:
    where = f.text('where', choices=_WHERE)
    why = f.text('why', '')
    if (where == 'process') == bool(why):
        raise f.fail('why', 'expected exactly for rows that are not injected into processes')
    bound_s = f.number('bound_s', None, above=0.0)
    bound_dt = f.integer('bound_dt', 0, minimum=0)
    if bound_dt and bound_s is None:
        raise f.fail('bound_dt', 'expected only where bound_s is a number')
    row = FaultRow(
        id=f.integer('id', minimum=1),
        fault=f.text('fault', filled=True),
        inject=f.text('inject', filled=True),
        require=f.text('require', filled=True),
        bound=f.text('bound', filled=True),
        bound_s=bound_s,
        bound_dt=bound_dt,
        flags=tuple(Flag(_one_of(f, 'flags', flag, list(Flag))) for flag in f.texts('flags')),
        states=tuple(State(_one_of(f, 'states', one, list(State))) for one in f.texts('states')),
        where=where,  # type: ignore[arg-type]
        why=why,
        unit=f.texts('unit'),
        missing=f.text('missing', ''),
    )
    f.done()
    return row


def _one_of(f: Fields, key: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise f.fail(key, f'expected one of {", ".join(choices)}; got {value!r}')
    return value
