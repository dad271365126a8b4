# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Who drives the lane car in demonstrations: pure pursuit of the lane's middle.

A function of the present pose alone (R. C. Coulter, 'Implementation of the Pure Pursuit Path
Tracking Algorithm', CMU-RI-TR-92-01, 1992), slower where the road bends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.car import CarSim
from bc_runtime.sim.car_painter import CarPainter

POLICY_HZ: Final = 15
IMAGE_WIDTH: Final = 64
IMAGE_HEIGHT: Final = 48

_LOOKAHEAD_M: Final = 0.55
_FASTEST_M_S: Final = 0.8
_SLOWEST_M_S: Final = 0.35
_BEND_COST: Final = 0.35

_PUSH_RAD_S: Final = 1.0
_PUSH_STEPS: Final = (3, 9)
_REST_STEPS: Final = (6, 20)
_SPREAD: Final = 2.0


class CarExpert:
    """Answers with a Twist for the present pose.

    Args:
        sim: The car; read, never changed.
    """

    def __init__(self, sim: CarSim) -> None:
        self._sim = sim

    def act(self) -> tuple[float, float]:
        """Return the wanted velocity of the body, (m/s, rad/s)."""
        track = self._sim.track
        x, y, heading = self._sim.pose
        way, _, _ = track.locate(x, y)
        ahead_x, ahead_y, _ = track.at(way + _LOOKAHEAD_M)
        dx, dy = ahead_x - x, ahead_y - y
        left = -dx * math.sin(heading) + dy * math.cos(heading)
        bend = 2.0 * left / (dx * dx + dy * dy)
        speed = max(_SLOWEST_M_S, _FASTEST_M_S / (1.0 + _BEND_COST * abs(bend)))
        return speed, speed * bend


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """One recorded drive of n policy steps.

    Attributes:
        images: (n, IMAGE_HEIGHT, IMAGE_WIDTH, 3) uint8 RGB.
        action: The expert's answer at each step, (n, 2) float32: m/s, rad/s.
        seed: Of the track.
    """

    images: NDArray[np.uint8]
    action: NDArray[np.float32]
    seed: int


def shrink_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a camera image to the policy's size by area averaging."""
    small = cv2.resize(image, (IMAGE_WIDTH, IMAGE_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def record_drive(sim: CarSim, seed: int, *, steps: int) -> Drive:
    """Let the expert drive on the track of a seed, pushed off its line now and then.

    The push goes into what is executed, never into the recorded action (DART: Laskey et al.,
    'DART: Noise Injection for Robust Imitation Learning', CoRL 2017).
    """
    sim.reset(seed, spread=_SPREAD)
    painter, expert = CarPainter(sim.track), CarExpert(sim)
    pushes = _pushes(np.random.Generator(np.random.PCG64((seed, 1))))
    images, actions = [], []
    for _ in range(steps):
        images.append(shrink_image(painter.render(sim.pose)))
        linear, angular = expert.act()
        actions.append((linear, angular))
        sim.command(linear, angular + next(pushes))
        sim.step(1.0 / POLICY_HZ)
    return Drive(images=np.stack(images), action=np.asarray(actions, np.float32), seed=seed)


def _pushes(rng: np.random.Generator) -> Iterator[float]:
    """Yield the push of each step, rad/s."""
    while True:
        for _ in range(int(rng.integers(*_REST_STEPS))):
            yield 0.0
        push = float(rng.normal(0.0, _PUSH_RAD_S))
        for _ in range(int(rng.integers(*_PUSH_STEPS))):
            yield push
