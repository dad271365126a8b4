# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Timing of the control tick in a running deployment: lateness, jitter, missed ticks.

Simulated robot, observation, inference and controller as real nodes, both cameras flowing, a
policy in motion. Two cases: 100 Hz while another process computes inferences without a pause on
the other core, and 250 Hz with nothing else. The figures are the controller's own (`lateness`,
`tick_duration`, `missed_ticks` of `controller/status`): from the deadline of a tick to its start.
A bare loop of higher priority on every core notes when the machine itself stood still
(graph/machine_stalls.py); a missed tick with such a stall in its last 50 ms is the machine's.
Nothing is asserted. Needs `onnx` (dev requirement).

    python benchmarks/bench_timing.py [--seconds 60] [--case 250]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
import json
import multiprocessing
import os
from pathlib import Path
import platform
import sys
import tempfile
import time
from typing import Any

from graph.machine_stalls import MachineStalls
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'test' / 'graph'))

from harness import policies, robots  # noqa: E402 - the folder must be known first
from harness.deployment import DeploymentUnderTest  # noqa: E402
from harness.domains import allocate_domain  # noqa: E402
from harness.witness import stamp_ns  # noqa: E402

OUT = ROOT / 'out' / 'bench' / 'timing.json'
#: The witness sleeps while the nodes are watched, and reads what has come afterwards; so many
#: statuses fit into its queue.
QUEUE = 2500
BUDGET_MS = {'jitter p99': 1.0}
#: A stall of the machine explains what is missed so long after it began [ns].
EXPLAINED_NS = 50_000_000


def compute(model: str) -> None:
    """Compute inferences without a pause, until killed."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    kinds = {'tensor(float)': np.float32, 'tensor(uint8)': np.uint8, 'tensor(int64)': np.int64}
    feed = {one.name: np.ones(one.shape, kinds[one.type]) for one in session.get_inputs()}
    while True:
        session.run(None, feed)


def measure(rate_hz: float, seconds: float, *, load: bool, folder: Path) -> dict[str, Any]:
    """Run a deployment and return its figures, times in ms."""
    domain, descriptor = allocate_domain()
    robot = robots.shipped()
    robot['command']['rate_hz'] = rate_hz
    deployment = DeploymentUnderTest(
        folder / f'at_{rate_hz:g}',
        domain=domain,
        robot=robots.write(folder / f'at_{rate_hz:g}.yaml', robot),
        model=policies.orbit(folder / 'orbit.onnx'),
    ).start()
    hog = multiprocessing.get_context('spawn').Process(
        target=compute, args=(str(ROOT / 'models' / 'sim_arm_act.onnx'),), daemon=True
    )
    w = deployment.witness
    stalls = MachineStalls(folder)
    try:
        if load:
            hog.start()
        deployment.auto()
        window_s = min(QUEUE / rate_hz, 10.0)
        rows: list[tuple[float, float, int, str, int]] = []
        pictures = 0
        begin, missed = time.monotonic(), w.status.missed_ticks
        stalls.start()
        while time.monotonic() - begin < seconds:
            w.drain()
            del w.statuses[:-1], w.wire.commands[:-1], w.joint_states[:-1], w.observations[:-1]
            if w.state != 'AUTO':
                deployment.auto()
            seen = len(w.statuses)
            time.sleep(window_s)  # the witness must not take the processor from the nodes
            until = time.monotonic() + 3.0
            while len(w.statuses) - seen < 0.98 * window_s * rate_hz and time.monotonic() < until:
                w.spin(0.01)
            rows += [
                (
                    s.lateness * 1e3,
                    s.tick_duration * 1e3,
                    s.missed_ticks,
                    s.state,
                    stamp_ns(s.header.stamp),
                )
                for s in w.statuses[seen:]
            ]
            pictures += sum(len(o.streams) > 0 and o.valid for o in w.observations)
        seconds = time.monotonic() - begin
        machine = stalls.stop()
        late = np.array([row[0] for row in rows])
        duration = np.array([row[1] for row in rows])
        remarks = deployment.log('controller')
        return {
            'rate_hz': rate_hz,
            'load': load,
            'seconds': round(seconds, 1),
            'ticks': len(rows),
            'in_auto': sum(row[3] == 'AUTO' for row in rows),
            'observations': pictures,
            'missed': int(w.status.missed_ticks - missed),
            'missed_by_machine': sum(
                after[2] - before[2]
                for before, after in pairwise(rows)
                if any(
                    after[4] - EXPLAINED_NS < end and start < after[4] for start, end in machine
                )
            ),
            'machine_stalls': len(machine),
            'machine_stall_max_ms': max((end - start for start, end in machine), default=0) / 1e6,
            'machine_watched': stalls.allowed,
            'jitter_p50_ms': float(np.median(late)),
            'jitter_p99_ms': float(np.quantile(late, 0.99)),
            'jitter_max_ms': float(late.max()),
            'tick_p50_ms': float(np.median(duration)),
            'tick_p99_ms': float(np.quantile(duration, 0.99)),
            'real_time': 'no permission for real-time priority' not in remarks,
        }
    finally:
        if hog.pid is not None:
            hog.kill()
        deployment.stop()
        os.close(descriptor)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--seconds', type=float, default=60.0, help='of each case')
    parser.add_argument('--case', choices=('100', '250', 'both'), default='both')
    arguments = parser.parse_args()
    cases = {'100': (100.0, True), '250': (250.0, False)}
    wanted = cases if arguments.case == 'both' else {arguments.case: cases[arguments.case]}
    results = []
    with tempfile.TemporaryDirectory(prefix='bc_timing_') as folder:
        for rate_hz, load in wanted.values():
            results.append(measure(rate_hz, arguments.seconds, load=load, folder=Path(folder)))
    print(f'{"rate":>6} {"load":>5} {"ticks":>7} {"missed":>6} {"jitter p50":>11} {"p99":>9} '
          f'{"max":>9} {"tick p50":>9} {"p99":>9}')  # fmt: skip
    for r in results:
        print(
            f'{r["rate_hz"]:>4.0f}Hz {"yes" if r["load"] else "no":>5} {r["ticks"]:>7} '
            f'{r["missed"]:>6} {r["jitter_p50_ms"]:>8.3f} ms {r["jitter_p99_ms"]:>6.3f} ms '
            f'{r["jitter_max_ms"]:>6.2f} ms {r["tick_p50_ms"]:>6.3f} ms '
            f'{r["tick_p99_ms"]:>6.3f} ms'
        )
        print(
            f'       the machine stood still {r["machine_stalls"]} times, for '
            f'{r["machine_stall_max_ms"]:.1f} ms at the longest; {r["missed_by_machine"]} of the '
            'missed ticks fall there'
            + ('' if r['machine_watched'] else ' (watched without real-time priority)')
        )
    print('real-time priority:', 'yes' if all(r['real_time'] for r in results) else 'no')
    OUT.parent.mkdir(parents=True, exist_ok=True)
    machine = f'{os.cpu_count()} CPUs, Linux {platform.release()}'
    OUT.write_text(json.dumps({'machine': machine, 'cases': results}, indent=2) + '\n')


if __name__ == '__main__':
    main()
