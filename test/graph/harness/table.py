# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What config/fault_matrix.yaml requires beside what was measured, written to out/faults.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from harness.wire import WireReport

MATRIX = Path(__file__).resolve().parents[3] / 'config' / 'fault_matrix.yaml'


class FaultTable:
    """Judges and collects measured reactions; `write` merges them into the file."""

    def __init__(self) -> None:
        rows = yaml.safe_load(MATRIX.read_text(encoding='utf-8'))['rows']
        self._matrix = {row['id']: row for row in rows}
        self.rows: list[dict[str, Any]] = []

    def flags(self, number: int) -> list[str]:
        """Return what the fault of a row may be called."""
        return list(self._matrix[number]['flags'])

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
            bound_s: Where the row gives no number: the largest time allowed [s].
            code: The reason that the controller gave; must be one of the row's flags.
            state: Where the controller ended; must be one of the row's states.
            report: Of the wire auditor.
        """
        required = self._matrix[number]
        bound_s = required['bound_s'] if required['bound_s'] is not None else bound_s
        problems = []
        if code and code not in required['flags']:
            problems.append(f'code {code}, expected one of {required["flags"]}')
        if state and state not in required['states']:
            problems.append(f'state {state}, expected one of {required["states"]}')
        if bound_s is not None and measured_s is not None and measured_s > bound_s:
            problems.append(f'it took {measured_s:.3f} s, allowed are {bound_s:.3f} s')
        row = {
            'id': number,
            'fault': required['fault'],
            'case': case,
            'required': required['require'],
            'bound': required['bound'],
            'bound_s': bound_s,
            'measured': measured,
            'measured_s': None if measured_s is None else round(measured_s, 4),
            'state': state,
            'passed': not problems,
        }
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
        """Merge the rows into the file; the newest measurement of a case wins."""
        old: list[dict[str, Any]] = []
        if file.is_file():
            old = json.loads(file.read_text(encoding='utf-8'))['rows']
        merged = {(row['id'], row['case']): row for row in [*old, *self.rows]}
        rows = [merged[key] for key in sorted(merged)]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({'rows': rows}, indent=2) + '\n', encoding='utf-8')
