# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

import numpy as np

from bc_runtime.observation import ObservationAssembler, PushResult, RawImage
from bc_runtime.spec import PolicySpec, RobotConfig

MS = 1_000_000


def test_pushing_and_observing_from_different_threads_never_mixes_samples(
    make_spec: Callable[..., PolicySpec],
    make_robot: Callable[..., RobotConfig],
    inputs: Any,
    push_joints: Callable[..., PushResult],
    raw_image: Callable[..., RawImage],
) -> None:
    """Joint value and picture both encode their stamp, so a mixture would show."""
    spec = make_spec(inputs.state(joints=['shoulder']), inputs.image())
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    count, failures, served = 400, [], 0
    done = threading.Event()

    def push_cameras() -> None:
        for i in range(count):
            frame = np.full((6, 8, 3), i % 199 + 20, dtype=np.uint8)
            image = raw_image(frame)
            assembler.push_image('front', stamp_ns=i * 10 * MS, arrival_ns=None, image=image)

    def push_states() -> None:
        for i in range(count):
            push_joints(assembler, i * 10 * MS, float(i), 0.0, 0.0)

    def observe() -> None:
        nonlocal served
        while True:
            finished = done.is_set()
            t = assembler.reference_time()
            if t is not None:
                observation = assembler.assemble(t)
                if observation.valid:
                    served += 1
                    i = t // (10 * MS)
                    state = observation.tensors['state'][0, 0]
                    pixel = observation.tensors['front'][0, 0, 0, 0]
                    if state != i or pixel != i % 199 + 20:
                        failures.append((t, state, pixel))
            if finished:
                return

    pushers = [threading.Thread(target=push_cameras), threading.Thread(target=push_states)]
    observers = [threading.Thread(target=observe) for _ in range(2)]
    for thread in pushers + observers:
        thread.start()
    for thread in pushers:
        thread.join(timeout=60)
    done.set()
    for thread in observers:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in pushers + observers)
    assert not failures
    assert served >= 2
    assert assembler.reference_time() == (count - 1) * 10 * MS
