# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What config/fault_matrix.yaml requires beside what was measured, written to out/faults.json."""

from __future__ import annotations

import json
import os
from pathlib import Path
import platform
from typing import Any

from bc_runtime.safety import read_fault_matrix
from harness.robots import RATE_HZ
from harness.wire import WireReport

MATRIX = Path(__file__).resolve().parents[3] / 'config' / 'fault_matrix.yaml'
#: Of the file; one of another version is begun anew.
SCHEMA_VERSION = 2


class FaultTable:
    """Judges and collects measured reactions; `write` merges them into the file."""

    def __init__(self) -> None:
        self._matrix = {row.id: row for row in read_fault_matrix(MATRIX)}
        self.rows: list[dict[str, Any]] = []
        self.voided: list[dict[str, str]] = []

    def flags(self, number: int) -> list[str]:
        """Return what the fault of a row may be called."""
        return [flag.value for flag in self._matrix[number].flags]

    def void(self, test: str, why: str) -> None:
        """Note that an attempt was not judged because the machine starved the nodes."""
        self.voided.append({'test': test, 'why': why})

    def fail(self, number: int, test: str, why: str) -> None:
        """Note a test that failed, so that the table cannot leave it out."""
        if not any(row['id'] == number and not row['passed'] for row in self.rows):
            self.rows.append(self._row(number, test, why, passed=False))

    def _row(self, number: int, case: str, measured: str, *, passed: bool) -> dict[str, Any]:
        required = self._matrix[number]
        return {
            'id': number,
            'rate_hz': RATE_HZ,
            'fault': required.fault,
            'case': case,
            'required': required.require,
            'bound': required.bound,
            'bound_s': required.bound_at(RATE_HZ),
            'measured': measured,
            'measured_s': None,
            'code': '',
            'state': '',
            'where': required.where,
            'passed': passed,
        }

    def add(
        self,
        number: int,
        case: str,
        *,
        measured: str,
        measured_s: float | None = None,
        bound_s: float | None = None,
        code: str = '',
        state: str = '',
        report: WireReport | None = None,
    ) -> None:
        """Take one measurement and judge it by its row.

        Args:
            number: Row of the matrix.
            case: What was done here, in words; one row may have several.
            measured: What followed, in words.
            measured_s: From the injection to the first braking (or other required) command [s].
            bound_s: Largest time allowed here [s], where the row gives no number or a larger one.
            code: The reason that the controller gave; must be one of the row's flags.
            state: Where the controller ended; must be one of the row's states.
            report: Of the wire auditor.
        """
        required = self._matrix[number]
        bounds_s = (required.bound_at(RATE_HZ), bound_s)
        bound_s = min((b for b in bounds_s if b is not None), default=None)
        problems = []
        flags, states = self.flags(number), [one.value for one in required.states]
        if code and code not in flags:
            problems.append(f'code {code}, expected one of {flags}')
        if state and state not in states:
            problems.append(f'state {state}, expected one of {states}')
        if bound_s is not None and measured_s is not None and measured_s > bound_s:
            problems.append(f'it took {measured_s:.3f} s, allowed are {bound_s:.3f} s')
        row = self._row(number, case, measured, passed=not problems) | {
            'bound_s': bound_s,
            'measured_s': None if measured_s is None else round(measured_s, 4),
            'code': code,
            'state': state,
        }
        if problems:
            row['measured'] += f' ({"; ".join(problems)})'
        if report is not None:
            row['wire'] = {
                'commands': report.commands,
                'violations': len(report.violations),
                'missed_ticks': report.missed,
                'longest_gap_s': round(report.longest_gap_s, 4),
                'velocity_ratio': round(report.velocity_ratio, 3),
                'acceleration_ratio': round(report.acceleration_ratio, 3),
            }
        self.rows.append(row)
        assert not problems, f'row {number}, {case}: {"; ".join(problems)} ({measured})'

    def write(self, file: Path) -> None:
        """Merge the rows into the file; the newest measurements of a row replace the older ones.

        Rows that cannot be injected into processes are in the file, too, with the reason. The
        runs of each control rate are counted by themselves.
        """
        old: list[dict[str, Any]] = []
        voided, parts = self.voided, {}
        if file.is_file():
            before = json.loads(file.read_text(encoding='utf-8'))
            if before.get('schema_version') == SCHEMA_VERSION:
                old, voided = before['rows'], before['voided'] + self.voided
                parts = before['parts']
        rate = f'{RATE_HZ:g}'
        parts[rate] = parts.get(rate, 0) + 1
        new = {(row['id'], row['rate_hz']) for row in self.rows}
        rows = [
            row
            for row in old
            if (row['id'], row['rate_hz']) not in new and row['where'] == 'process'
        ]
        rows += self.rows
        for number, required in self._matrix.items():
            if required.where != 'process':
                rows.append(self._row(number, 'not injected', required.why, passed=True))
        rows.sort(key=lambda row: (row['id'], row['case'], row['rate_hz']))
        file.parent.mkdir(parents=True, exist_ok=True)
        document = {
            'schema_version': SCHEMA_VERSION,
            'machine': f'{os.cpu_count()} CPUs, Linux {platform.release()}',
            'parts': parts,
            'voided': voided,
            'rows': rows,
        }
        file.write_text(json.dumps(document, indent=2) + '\n', encoding='utf-8')
