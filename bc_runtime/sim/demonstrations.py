# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes of the expert, driven and recorded the way a deployed policy is run.

The robot's driver takes set-points at 100 Hz; between two policy steps the set-point moves along
a straight line. `action[k]` is the command *at* the time of observation k: a chunk for that
observation is `action[k : k + chunk_size]`, and its element i is meant for i policy steps later.

The expert answers with where the robot should be one of its own steps (1/15 s) later. At a higher
rate it is asked more often, and the set-point covers only the share of the way that belongs to one
step, which leaves the speed of the motion as it is. The gripper's command is not divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bc_runtime.sim import task
from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.expert import POLICY_HZ, Expert
from bc_runtime.sim.painter import Painter

DRIVER_HZ: Final = 100
IMAGE_WIDTH: Final = 96
IMAGE_HEIGHT: Final = 72
MAX_STEPS: Final = 240

#: Wanted set-point (7,) and its velocity (7,) -> what is commanded in this driver tick, (7,). A
#: robot that is deployed does not jump where it is told to, and neither may the one that is shown:
#: if closing the gripper takes longer in deployment, a policy lifts before it holds anything.
Follow = Callable[[NDArray[np.float64], NDArray[np.float64]], ArrayLike]

# Policy steps that are still recorded after success, so that standing still is shown too.
_STEPS_AFTER_SUCCESS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KickPlan:
    """Random pushes on the command during an episode, so that recovering is shown.

    The disturbance goes into what is executed, never into the recorded action (DART: Laskey et
    al., 'DART: Noise Injection for Robust Imitation Learning', CoRL 2017).

    Attributes:
        spread_rad: Standard deviation of the push of each arm joint, (6,) rad.
        first_step: Half-open range of the step of the first push.
        gap_steps: Half-open range of the undisturbed steps between pushes.
        length_steps: Half-open range of the steps that a push lasts.
    """

    spread_rad: tuple[float, ...] = (0.12, 0.10, 0.10, 0.0, 0.10, 0.15)
    first_step: tuple[int, int] = (4, 22)
    gap_steps: tuple[int, int] = (10, 30)
    length_steps: tuple[int, int] = (2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """One recorded episode of n policy steps.

    Attributes:
        images: Per camera, (m, IMAGE_HEIGHT, IMAGE_WIDTH, 3) uint8 RGB; image i is of the step
            i * image_every.
        state: Measured joint positions, (n, 7) float32.
        action: The expert's command at each step's time, (n, 7) float32, without the pushes.
        kick: (n,) bool, true where a push begins in the interval after the step.
        instruction: What the robot was told.
        seed: The scene.
        success: Whether the episode ended in success and without a wrong cube.
        image_every: Steps from one image to the next.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    action: NDArray[np.float32]
    kick: NDArray[np.bool_]
    instruction: str
    seed: int
    success: bool
    image_every: int = 1

    def __len__(self) -> int:
        """Return the number of policy steps."""
        return len(self.state)


def shrink_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a camera image to the policy's size by area averaging (stretches, no crop)."""
    small = cv2.resize(image, (IMAGE_WIDTH, IMAGE_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def step_time_ns(step: int, rate_hz: int = POLICY_HZ) -> int:
    """Return the time of a policy step since the reset, ns."""
    return round(step * 1e9 / rate_hz)


def drive(
    sim: ArmSim,
    *,
    step: int,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    follow: Follow | None = None,
    rate_hz: int = POLICY_HZ,
) -> None:
    """Run one policy step: the set-point moves from `start` to `end` in 100 Hz driver ticks.

    Args:
        sim: At the time of `step`.
        step: Index of the policy step that begins.
        start: Set-point at the step's time, (7,).
        end: Set-point at the next step's time, (7,).
        follow: Makes the command of a tick; the set-point itself is commanded if None.
        rate_hz: Policy steps per second.
    """
    velocity = (end - start) * rate_hz
    begin_ns, end_ns = step_time_ns(step, rate_hz), step_time_ns(step + 1, rate_hz)
    tick_ns = round(1e9 / DRIVER_HZ)
    now_ns = begin_ns
    while now_ns < end_ns:
        if now_ns % tick_ns == 0:
            wanted = start + (end - start) * ((now_ns - begin_ns) / (end_ns - begin_ns))
            sim.command(wanted if follow is None else follow(wanted, velocity))
        next_ns = min((now_ns // tick_ns + 1) * tick_ns, end_ns)
        sim.step((next_ns - now_ns) / 1e9)
        now_ns = next_ns


def record(
    sim: ArmSim,
    seed: int,
    *,
    painter: Painter | None = None,
    instruction: str | None = None,
    kicks: KickPlan | None = None,
    follow: Follow | None = None,
    max_steps: int = MAX_STEPS,
    rate_hz: int = POLICY_HZ,
    image_every: int = 1,
) -> Demonstration:
    """Let the expert do the task of one scene and record it.

    Args:
        sim: Is reset to the scene.
        seed: Of the scene and of the pushes.
        painter: Draws the cameras; without one the episode has no images, which is fast.
        instruction: Replaces the one that the seed chooses.
        kicks: Pushes to disturb the arm with; none if None.
        follow: Makes the command of a driver tick; begins anew at the scene's start.
        max_steps: The episode ends here at the latest.
        rate_hz: Policy steps per second; pushes are counted in them too.
        image_every: Steps from one drawn image to the next.
    """
    scene = sim.reset(seed, instruction)
    expert = Expert(sim)
    rng = np.random.default_rng((seed, 1))
    pushes = _Pushes(kicks, rng) if kicks is not None else None
    images: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in task.CAMERAS}
    states, actions, onsets = [], [], []
    action, executed = sim.setpoint, sim.setpoint
    offset = np.zeros(len(action))
    share = np.full(len(action), POLICY_HZ / rate_hz)
    share[-1] = 1.0
    done = 0
    for step in range(max_steps):
        states.append(sim.joint_positions)
        actions.append(action)
        if painter is not None and step % image_every == 0:
            for camera in task.CAMERAS:
                images[camera].append(shrink_image(painter.render(sim.data, camera)))
        action = (1.0 - share) * action + share * expert.act()
        onset, push = pushes.next() if pushes is not None else (False, np.zeros(6))
        onsets.append(onset)
        offset = (1.0 - share) * offset + share * np.append(push, 0.0)
        wanted = action + offset
        drive(sim, step=step, start=executed, end=wanted, follow=follow, rate_hz=rate_hz)
        executed = wanted
        done += sim.success()
        if done > _STEPS_AFTER_SUCCESS * rate_hz / POLICY_HZ:
            break
    return Demonstration(
        images={camera: np.stack(stack) for camera, stack in images.items() if stack},
        state=np.asarray(states, dtype=np.float32),
        action=np.asarray(actions, dtype=np.float32),
        kick=np.asarray(onsets, dtype=np.bool_),
        instruction=scene.instruction,
        seed=seed,
        success=sim.success() and not sim.wrong_cube(),
        image_every=image_every,
    )


def collect(
    seeds: Iterable[int],
    *,
    kicks: KickPlan | None = None,
    follower: Callable[[ArmSim], Follow] | None = None,
    width: int = 640,
    height: int = 480,
    rate_hz: int = POLICY_HZ,
    image_every: int = 1,
) -> Iterator[Demonstration]:
    """Yield the successful demonstrations of the given scenes, with images.

    Args:
        seeds: Scenes to try, in order.
        kicks: Pushes to disturb the arm with; none if None.
        follower: Gives what makes the commands of an episode, from the robot at its start.
        width: Of the rendered images before they are reduced, px.
        height: Of the rendered images before they are reduced, px.
        rate_hz: Policy steps per second.
        image_every: Steps from one drawn image to the next.
    """
    sim = ArmSim()
    painter = Painter(sim.model, width, height)
    for seed in seeds:
        sim.reset(seed)
        follow = None if follower is None else follower(sim)
        demonstration = record(
            sim,
            seed,
            painter=painter,
            kicks=kicks,
            follow=follow,
            max_steps=MAX_STEPS * rate_hz // POLICY_HZ,
            rate_hz=rate_hz,
            image_every=image_every,
        )
        if demonstration.success:
            yield demonstration


def chunk_mask(kick: NDArray[np.bool_], step: int, chunk_size: int) -> NDArray[np.bool_]:
    """Tell which elements of the chunk at a step a policy can know.

    The command for step k + 2 is the expert's answer to the observation at k + 1, the first that
    shows a push beginning after step k. From step j on, elements later than one step after the
    next push are answers to something that the observation j does not hold, and the elements
    past the episode's end do not exist.

    Args:
        kick: Of the demonstration, (n,).
        step: Step of the observation, 0 <= step < n.
        chunk_size: Number of actions in a chunk.

    Returns:
        (chunk_size,) bool, true where `action[step + i]` is a target to learn.
    """
    if not 0 <= step < len(kick):
        raise SimError(f'expected a step from 0 to {len(kick) - 1}, got {step}')
    last = len(kick) - 1
    onsets = np.flatnonzero(kick[step:])
    if len(onsets):
        last = min(last, step + int(onsets[0]) + 1)
    return np.arange(step, step + chunk_size) <= last


class _Pushes:
    """The disturbance of each step, drawn as the episode goes on."""

    def __init__(self, plan: KickPlan, rng: np.random.Generator) -> None:
        self._plan = plan
        self._rng = rng
        self._wait = int(rng.integers(*plan.first_step))
        self._left = 0
        self._offset = np.zeros(6)

    def next(self) -> tuple[bool, NDArray[np.float64]]:
        """Return whether a push begins in this step, and the push (6,) rad."""
        onset = self._left == 0 and self._wait <= 0
        if onset:
            self._offset = self._rng.normal(0.0, self._plan.spread_rad)
            self._left = int(self._rng.integers(*self._plan.length_steps))
            self._wait = int(self._rng.integers(*self._plan.gap_steps))
        if self._left == 0:
            self._wait -= 1
            return onset, np.zeros(6)
        self._left -= 1
        return onset, self._offset
