#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Write docs/reference/faults.md from the fault matrix and what `make faults` measured.

`scripts/run python scripts/fault_table.py` reads config/fault_matrix.yaml and out/faults.json.
"""

from __future__ import annotations

import json
from pathlib import Path
import sys

from bc_runtime.safety import case_table, fault_table, read_fault_matrix, read_fault_results
from bc_runtime.spec.errors import BcError

ROOT = Path(__file__).resolve().parent.parent
MATRIX = ROOT / 'config' / 'fault_matrix.yaml'
RESULTS = ROOT / 'out' / 'faults.json'
PAGE = ROOT / 'docs' / 'reference' / 'faults.md'

HEAD = """\
# Faults: required and measured

Written by `make faults`, which injects every fault of the
[fault matrix](../../config/fault_matrix.yaml) into running nodes; do not edit. A wire auditor
judges every command that was sent meanwhile: {commands} commands, {violations} violations.

Measured on one machine ({machine}) with the simulated robot, 100 Hz joint states and 30 Hz
cameras, controlled at {parts}. Yours differs: run it
there. An attempt in which the machine itself starved the nodes (control ticks or joint states were
missing that no test withheld) is void and is repeated; {voided}.

* *Bound*: dt is the control period, P a sensor's period, B the time to brake, H the rest of the
  plan.
* *At ... Hz*: the worst case of the row at that control rate, from the injection to the first
  command that reacts.
* *Reaction*: the reason that the controller gave, and the state in which it ended.
* *Where*: in real processes; in the pure core, where a process would add nothing; or not here.

## The matrix

"""

CASES = """
## Every case

One row may be injected in several ways.

"""


def main() -> int:
    """Write the page."""
    try:
        rows, results = read_fault_matrix(MATRIX), read_fault_results(RESULTS)
    except BcError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    document = json.loads(RESULTS.read_text(encoding='utf-8'))
    wires = [row['wire'] for row in document['rows'] if 'wire' in row]
    elsewhere = {row.id for row in rows if row.where != 'process'}
    measured = {n: cases for n, cases in results.items() if n not in elsewhere}
    count = len(document['voided'])
    rates = {float(rate): parts for rate, parts in document['parts'].items()}
    head = HEAD.format(
        machine=document['machine'],
        commands=sum(wire['commands'] for wire in wires),
        violations=sum(wire['violations'] for wire in wires),
        parts=' and '.join(f'{rate:g} Hz ({_runs(rates[rate])})' for rate in sorted(rates)),
        voided=f'here that happened {count} times' if count else 'here none was',
    )
    PAGE.write_text(
        head + fault_table(rows, measured) + CASES + case_table(measured), encoding='utf-8'
    )
    print(f'{PAGE.relative_to(ROOT)}: {len(measured)} rows measured')
    for rate in sorted(rates):
        there = {n for n, cases in measured.items() if any(c.rate_hz == rate for c in cases)}
        missing = [row.id for row in rows if row.where == 'process' and row.id not in there]
        if missing:
            print(f'not measured at {rate:g} Hz: {", ".join(map(str, missing))}', file=sys.stderr)
    return 0


def _runs(count: int) -> str:
    return 'one run' if count == 1 else f'{count} runs, each row as in its last one'


if __name__ == '__main__':
    sys.exit(main())
