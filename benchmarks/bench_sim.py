# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the simulated robot costs: physics, pictures, expert, one demonstration.

Times are CPU time of this process on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import time

import cv2
import numpy as np

from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.demonstrations import KickPlan, record, shrink_image
from bc_runtime.sim.expert import Expert
from bc_runtime.sim.painter import Painter
from bc_runtime.sim.task import CAMERAS


def cpu_ms(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return median and 99th percentile of a call's CPU time, ms."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - start))
    return float(np.median(times)), float(np.quantile(times, 0.99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--repeats', type=int, default=300)
    repeats = parser.parse_args().repeats
    cv2.setNumThreads(1)
    sim = ArmSim()
    sim.reset(1)
    painter = Painter(sim.model)
    expert = Expert(sim)

    def tick() -> None:
        sim.command(sim.setpoint)
        sim.step(0.01)

    rows = [('driver tick: command + 10 ms of physics', *cpu_ms(tick, repeats))]
    share = rows[0][1] / 10
    rows.append(('expert, one action', *cpu_ms(expert.act, repeats)))
    for camera in CAMERAS:
        rows.append(
            (
                f'picture {camera} 640x480',
                *cpu_ms(lambda camera=camera: painter.render(sim.data, camera), repeats),
            )
        )
    image = painter.render(sim.data, 'front')
    rows.append(('picture reduced to 96x72', *cpu_ms(lambda: shrink_image(image), repeats)))
    lengths: list[int] = []

    def demonstrate(with_images: bool) -> None:
        seed = len(lengths)
        chosen = painter if with_images else None
        lengths.append(len(record(sim, seed, painter=chosen, kicks=KickPlan())))

    rows.append(('demonstration without pictures', *cpu_ms(lambda: demonstrate(False), 6)))
    rows.append(('demonstration with pictures', *cpu_ms(lambda: demonstrate(True), 6)))
    print(f'{"":42s} {"p50 ms":>9s} {"p99 ms":>9s}')
    for name, median, high in rows:
        print(f'{name:42s} {median:9.3f} {high:9.3f}')
    print(f'physics in real time: {share:.1%} of a core')
    print(f'policy steps per demonstration: {np.mean(lengths):.0f}')


if __name__ == '__main__':
    main()
