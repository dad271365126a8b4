# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Collect demonstrations of the expert, and keep them on disk for the next training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import hashlib
import inspect
from itertools import count
from pathlib import Path
import time
from types import MappingProxyType
from typing import Final

from bc_runtime.safety.limits import limits_of
from bc_runtime.sim import (
    arm,
    camera,
    expert,
    kinematics,
    model,
    painter,
    scene,
    shapes,
    task,
)
from bc_runtime.sim import (
    demonstrations as recording,
)
from bc_runtime.sim.demonstrations import Demonstration, KickPlan, collect
from bc_runtime.sim.expert import POLICY_HZ
from bc_runtime.spec import RobotConfig
from bc_runtime.training.demonstration_set import (
    DemonstrationSet,
    join_demonstrations,
    load_demonstrations,
)
from bc_runtime.training.limited import Follower

# Raised when the stored arrays change their meaning.
_FORMAT = 3
_EPISODES_PER_LINE = 20
# What a demonstration depends on.
_DECIDING = (arm, camera, expert, kinematics, model, painter, recording, scene, shapes, task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the expert acts and is seen.

    Attributes:
        rate_hz: Policy steps per second.
        image_every: Steps from one drawn image to the next; drawing is what takes the time.
        kicks: Pushes on the command, counted in policy steps.
    """

    rate_hz: int = POLICY_HZ
    image_every: int = 1
    kicks: KickPlan = field(default_factory=KickPlan)


_DEFAULT_PACE: Final = Pace()
# For chunks of 2 s: with pushes as often as at 15 Hz, hardly any chunk could be known to its end.
_PACE_50HZ: Final = Pace(
    rate_hz=50,
    image_every=4,
    kicks=KickPlan(first_step=(13, 70), gap_steps=(50, 200), length_steps=(7, 17)),
)
#: By steps per second.
PACES: Final[Mapping[int, Pace]] = MappingProxyType(
    {pace.rate_hz: pace for pace in (_DEFAULT_PACE, _PACE_50HZ)}
)


def demonstrations(
    *,
    episodes: int,
    first_scene: int,
    robot: RobotConfig,
    folder: Path,
    say: Callable[[str], None],
    pace: Pace = _DEFAULT_PACE,
) -> DemonstrationSet:
    """Return successful demonstrations with pushes, from disk if they were collected before.

    Args:
        episodes: Number of successful demonstrations.
        first_scene: Seed of the first scene to try; the next ones count up.
        robot: Gives the limits that the demonstrated motions keep.
        folder: Where the npz is kept.
        say: Takes lines of progress.
        pace: How often the expert acts and is seen.
    """
    path = folder / f'sim_arm_{episodes}_{first_scene}_{_fingerprint(robot, pace)}.npz'
    if path.is_file():
        say(f'demonstrations: {path} (collected before)')
        return load_demonstrations(path)
    say(f'collecting {episodes} demonstrations from scene {first_scene} on')
    found: list[Demonstration] = []
    begin = time.process_time()
    for demonstration in collect(
        count(first_scene),
        kicks=pace.kicks,
        follower=Follower(robot),
        rate_hz=pace.rate_hz,
        image_every=pace.image_every,
    ):
        found.append(demonstration)
        if len(found) % _EPISODES_PER_LINE == 0 or len(found) == episodes:
            tried = demonstration.seed - first_scene + 1
            steps = sum(len(each) for each in found)
            say(
                f'  {len(found)}/{episodes} succeeded of {tried} tried, {steps} steps, '
                f'{time.process_time() - begin:.0f} CPU s'
            )
        if len(found) == episodes:
            break
    result = join_demonstrations(found)
    result.save(path)
    say(f'demonstrations: {path}')
    return result


def _fingerprint(robot: RobotConfig, pace: Pace) -> str:
    """Return a digest of simulation and limits: other physics needs other demonstrations."""
    digest = hashlib.sha256(repr((_FORMAT, limits_of(robot.joints), pace)).encode())
    for module in _DECIDING:
        digest.update(module.__name__.encode() + b'\0' + inspect.getsource(module).encode())
    return digest.hexdigest()[:12]
