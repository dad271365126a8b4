# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Exchange a policy of 50 MB while another one moves the robot: how long, and at what price.

Simulated robot, observation, inference and controller as real nodes. The parameter `model` of the
inference node is set to a file with 50 MB of weights and back, by turns; then to one that is cut
off. Reported: from the request until `policy_info` says that the new policy is in charge, control
ticks missed meanwhile, and the largest velocity, acceleration and gap of the commands on the wire.
Budgets: 3 s, 0 missed ticks, commands inside their limits. Needs `onnx` (dev requirement).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'test' / 'graph'))

from harness import policies, robots  # noqa: E402 - the folder must be known first
from harness.deployment import DeploymentUnderTest  # noqa: E402
from harness.domains import allocate_domain  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402

OUT = ROOT / 'out' / 'bench' / 'swap.json'
MEGABYTES = 50
BUDGET_S = 3.0


def heavy(path: Path) -> Path:
    """Write the moving policy with weights that every inference multiplies with, to no effect."""
    model = onnx.load(str(policies.orbit(path)))
    side = 1024
    count = round(MEGABYTES * 1e6 / (4 * side * side))
    rng = np.random.default_rng(0)
    graph = model.graph
    before = graph.output[0].name
    for node in graph.node:
        node.output[:] = [f'{before}_light' if name == before else name for name in node.output]
    # From the state, so that nothing can be computed beforehand; times zero.
    zeros = np.zeros((len(policies.JOINTS), side), np.float32)
    graph.initializer.append(numpy_helper.from_array(zeros, 'ballast_zeros'))
    graph.node.add(op_type='MatMul', input=['state', 'ballast_zeros'], output=['ballast_in'])
    value = 'ballast_in'
    for index in range(count):
        weights = rng.standard_normal((side, side)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(weights, f'ballast_{index}'))
        graph.node.add(
            op_type='MatMul', input=[value, f'ballast_{index}'], output=[f'ballast_out_{index}']
        )
        value = f'ballast_out_{index}'
    ones = numpy_helper.from_array(np.ones((side, 1), np.float32), 'ballast_ones')
    graph.initializer.append(ones)
    graph.node.add(op_type='MatMul', input=[value, 'ballast_ones'], output=['ballast'])
    graph.node.add(op_type='Add', input=[f'{before}_light', 'ballast'], output=[before])
    onnx.save(model, str(path))
    return path


def swap(deployment: DeploymentUnderTest, model: Path) -> dict[str, Any]:
    """Exchange the policy in motion; return what it took."""
    w = deployment.witness
    deployment.auto_again()
    w.mark()
    before, missed, first = w.policy.policy_id, w.status.missed_ticks, len(w.wire.commands)
    starved = sum(s.state != 'AUTO' for s in w.statuses)
    begin = time.monotonic()
    refused = w.try_parameters('inference', {'model': str(model)})
    if not refused:
        w.until(
            lambda: w.policy.policy_id != before and w.policy.state == w.policy.STATE_READY,
            'the new policy',
        )
    took_s = time.monotonic() - begin
    w.ticks(100)
    commands = w.wire.commands[first:]
    times = np.array([c.sent_ns for c in commands]) * 1e-9
    report = deployment.audit()
    return {
        'model': f'{model.name}, {model.stat().st_size / 1e6:.1f} MB',
        'refused': refused.splitlines()[0][:100] if refused else '',
        'seconds': round(took_s, 2),
        'missed_ticks': int(w.status.missed_ticks - missed),
        'left_auto': sum(s.state != 'AUTO' for s in w.statuses) - starved,
        'largest_gap_ms': round(float(np.diff(times).max()) * 1e3, 1),
        'velocity_share': round(report.velocity_ratio, 3),
        'violations': len(report.violations),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--swaps', type=int, default=6)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix='bc_swap_') as name:
        folder = Path(name)
        light, large = policies.orbit(folder / 'light.onnx'), heavy(folder / 'heavy.onnx')
        cut = folder / 'cut.onnx'
        cut.write_bytes(large.read_bytes()[: large.stat().st_size // 2])
        domain, descriptor = allocate_domain()
        deployment = DeploymentUnderTest(
            folder / 'deployment',
            domain=domain,
            robot=robots.write(folder / 'gentle.yaml', robots.gentle()),
            model=light,
        ).start()
        try:
            deployment.auto()
            for index in range(arguments.swaps):
                rows.append(swap(deployment, light if index % 2 else large))
            rows.append(swap(deployment, cut))
        finally:
            deployment.stop()
            os.close(descriptor)
    head = (
        f'{"policy":<22} {"seconds":>8} {"missed":>7} {"not AUTO":>9} {"gap ms":>7} {"v/limit":>8}'
    )
    print(head)
    for row in rows:
        print(
            f'{row["model"]:<22} {row["seconds"]:>8.2f} {row["missed_ticks"]:>7} '
            f'{row["left_auto"]:>9} {row["largest_gap_ms"]:>7.1f} {row["velocity_share"]:>8.3f}'
            f'  {row["refused"]}'
        )
    slowest = max(row['seconds'] for row in rows)
    missed = sum(row['missed_ticks'] for row in rows)
    print(
        f'budget: {slowest:.2f} s of {BUDGET_S:g} s: {"met" if slowest <= BUDGET_S else "NOT MET"}'
    )
    print(f'budget: {missed} missed ticks of 0: {"met" if not missed else "NOT MET"}')
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
