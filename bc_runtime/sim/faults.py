# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Faults that the simulated robot can be given: cameras, joint sensors, actuation, noise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
import math
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.errors import SimError
from bc_runtime.sim.task import CAMERAS

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

# A gripper's opening in metres is disturbed by this much per radian of joint noise.
_GRIPPER_NOISE_M: Final = 0.05


class CameraFault(StrEnum):
    """What is wrong with a camera."""

    NONE = 'none'
    STOP = 'stop'  # no pictures at all
    FREEZE = 'freeze'  # the last picture again and again, with new stamps
    BLACK = 'black'  # pictures without light


class JointFault(StrEnum):
    """What is wrong with the joint sensors."""

    NONE = 'none'
    STOP = 'stop'  # no joint states at all
    FREEZE = 'freeze'  # the last positions again and again, with new stamps


class ActuationFault(StrEnum):
    """What is wrong with the drives."""

    NONE = 'none'
    STUCK = 'stuck'  # commands have no effect


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """What is wrong with the robot now; the default is a healthy robot.

    Attributes:
        cameras: The cameras that `camera` and `image_noise` apply to.
        camera: Fault of those cameras.
        joints: Fault of the joint sensors.
        actuation: Fault of the drives.
        actuation_lag_s: Delay from a set-point to its effect, s.
        position_noise: Standard deviation of measured joint positions, rad.
        image_noise: Standard deviation of pixels, grey levels.

    Raises:
        SimError: An unknown camera, or a number that is negative or not finite.
    """

    cameras: tuple[str, ...] = CAMERAS
    camera: CameraFault = CameraFault.NONE
    joints: JointFault = JointFault.NONE
    actuation: ActuationFault = ActuationFault.NONE
    actuation_lag_s: float = 0.0
    position_noise: float = 0.0
    image_noise: float = 0.0

    def __post_init__(self) -> None:
        unknown = [name for name in self.cameras if name not in CAMERAS]
        if unknown:
            raise SimError(
                f'expected cameras out of {", ".join(CAMERAS)}, got {", ".join(unknown)}'
            )
        for name in ('actuation_lag_s', 'position_noise', 'image_noise'):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise SimError(f'{name}: expected a number of zero or more, got {value!r}')

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> FaultPlan:
        """Return the plan that plain values describe, the faults given by name.

        Raises:
            SimError: A fault that does not exist, or what the constructor refuses.
        """
        kinds = {'camera': CameraFault, 'joints': JointFault, 'actuation': ActuationFault}
        values = dict(fields)
        for name, kind in kinds.items():
            if name in values:
                known = [str(fault) for fault in kind]
                if values[name] not in known:
                    raise SimError(
                        f'{name}: expected one of {", ".join(known)}, got {values[name]!r}'
                    )
                values[name] = kind(values[name])
        if 'cameras' in values:
            values['cameras'] = tuple(values['cameras'])
        return cls(**values)


class FaultInjector:
    """Stands between the healthy robot and its messages, and does what the plan says.

    Deterministic: the same plan, seed and order of calls give the same results. Not thread-safe
    across calls of the same method; cameras, joints and commands may each have their own thread.

    Args:
        seed: Of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        self.plan = FaultPlan()
        image_seed, joint_seed = np.random.SeedSequence(seed).spawn(2)
        self._image_rng = np.random.default_rng(image_seed)
        self._joint_rng = np.random.default_rng(joint_seed)
        self._last_image: dict[str, Image] = {}
        self._last_joints: tuple[Floats, Floats] | None = None
        self._pending: deque[tuple[float, Floats]] = deque()
        self._active: Floats | None = None
        self._noise = np.zeros(0, dtype=np.int16)
        self._noise_level = 0.0

    def reset(self) -> None:
        """Forget commands that are under way, as a new scene begins."""
        self._pending.clear()
        self._active = None

    def image(self, camera: str, draw: Callable[[], Image]) -> Image | None:
        """Return the picture that a camera gives, or None if it gives none.

        Args:
            camera: Its name.
            draw: Makes the true picture, (height, width, 3); not called where it is not needed.
        """
        plan = self.plan
        fault = plan.camera if camera in plan.cameras else CameraFault.NONE
        if fault is CameraFault.STOP:
            return None
        if fault is CameraFault.FREEZE and camera in self._last_image:
            return self._last_image[camera]
        picture = draw()
        if fault is CameraFault.BLACK:
            picture = np.zeros_like(picture)
        if plan.image_noise > 0 and camera in plan.cameras:
            picture = self._with_noise(picture, plan.image_noise)
        self._last_image[camera] = picture
        return picture

    def joints(self, positions: Floats, velocities: Floats) -> tuple[Floats, Floats] | None:
        """Return the measured positions and velocities (7,), or None if there are none."""
        plan = self.plan
        if plan.joints is JointFault.STOP:
            return None
        if plan.joints is JointFault.FREEZE and self._last_joints is not None:
            return self._last_joints
        if plan.position_noise > 0:
            noise = self._joint_rng.normal(0.0, plan.position_noise, len(positions))
            noise[6:] *= _GRIPPER_NOISE_M
            positions = positions + noise
        self._last_joints = positions, velocities
        return self._last_joints

    def command(self, time_s: float, setpoint: Floats) -> Floats | None:
        """Return the set-point that reaches the drives, or None if none does.

        Args:
            time_s: Now, on any clock that runs forward.
            setpoint: What the driver wants now, (7,).
        """
        plan = self.plan
        self._pending.append((time_s, setpoint))
        while self._pending and self._pending[0][0] <= time_s - plan.actuation_lag_s + 1e-9:
            self._active = self._pending.popleft()[1]
        if plan.actuation is ActuationFault.STUCK:
            return None
        return self._active

    def _with_noise(self, picture: Image, level: float) -> Image:
        # Drawing a million normal numbers takes longer than drawing the picture: one field is
        # drawn per level and read from a random place.
        if level != self._noise_level or len(self._noise) < 2 * picture.size:
            field = self._image_rng.standard_normal(2 * picture.size, dtype=np.float32)
            self._noise = np.rint(field * level).astype(np.int16)
            self._noise_level = level
        at = int(self._image_rng.integers(picture.size))
        noise = self._noise[at : at + picture.size].reshape(picture.shape)
        return np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), dtype=np.uint8)
