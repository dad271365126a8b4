# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted expert: puts the named cube in the tray, deciding from the state at each step.

The expert is a function of what the robot is *now* - joints, cube, gripper - and of nothing else:
it remembers no phase and no velocity. So it can be asked in any state, after a disturbance or
while something else moves the robot; and what it shows can be learned from one observation. An
expert that speeds up and slows down by an inner state shows, at rest, hardly any motion, and a
policy that is cloned from it stays at rest wherever it comes to rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim import task
from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.kinematics import DownwardKinematics

Floats = NDArray[np.float64]

POLICY_HZ: Final = 15

# How far ahead of the tool the command is put, m; the arm's lag makes a speed of it.
_AHEAD_M: Final = 0.028
_AHEAD_CLOSE_M: Final = 0.017
_AHEAD_RAD: Final = 0.25
# The hand is turned to the cube only above it, where the wrist camera shows how it lies, and
# slowly: a turn that is over before there is anything to see cannot be learned from pictures. It
# goes on while the hand comes down; the fingers straighten what is left.
_AHEAD_GRASP_RAD: Final = 0.07
_TURN_WITHIN_M: Final = 0.08
_TURNED_RAD: Final = 0.35

_HOVER_M: Final = 0.09
_CARRY_M: Final = 0.13
_RELEASE_M: Final = 0.035
_RETREAT_M: Final = 0.20
# Farther turns of the hand are not needed: a cube looks the same after a quarter turn.
_USUAL_YAW_RAD: Final = 0.98
_LARGEST_YAW_RAD: Final = 1.6
# From the middle of the cube to that of an open finger, and what it needs around it.
_FINGER_M: Final = 0.052
_FINGER_ROOM_M: Final = 0.046
_TRAY: Final = np.array(task.TRAY_CENTRE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Goal:
    """Where the expert wants the hand: position (3,) m, yaw rad, opening m."""

    position: Floats
    yaw: float
    opening: float
    ahead_m: float = _AHEAD_M
    ahead_rad: float = _AHEAD_RAD


class Expert:
    """Commands for the next policy step, from the state of a simulated robot.

    Args:
        sim: The robot; read, never changed.
    """

    def __init__(self, sim: ArmSim) -> None:
        self._sim = sim
        self._kinematics = DownwardKinematics(sim.model)

    def act(self) -> Floats:
        """Return the set-point (7,) that the robot should have reached one policy step from now.

        To be called once per policy step; the command in between is a straight line.
        """
        sim = self._sim
        tool = sim.tool_position
        goal = self._goal(tool)
        way = goal.position - tool
        distance = float(np.linalg.norm(way))
        position = tool + way * min(1.0, goal.ahead_m / max(distance, 1e-9))
        turn = _half_turn(goal.yaw - sim.tool_yaw)
        yaw = sim.tool_yaw + float(np.clip(turn, -goal.ahead_rad, goal.ahead_rad))
        joints = self._kinematics.solve(position, yaw, sim.joint_positions[:6])
        return np.append(joints, goal.opening)

    def _goal(self, tool: Floats) -> _Goal:
        sim = self._sim
        cube = sim.cube_position(sim.scene.target)
        opening = float(sim.joint_positions[6])
        held = np.linalg.norm(tool - cube) < 0.022 and opening < 2 * task.CUBE_HALF_M + 0.003
        if task.in_tray(cube) and not (held and tool[2] > 0.045):
            return self._let_go(tool, opening)
        if held:
            return self._carry(tool)
        return self._reach(tool, cube)

    def _let_go(self, tool: Floats, opening: float) -> _Goal:
        if opening < 2 * task.CUBE_HALF_M + 0.012:
            position = tool
        elif tool[2] > 0.10:
            position = np.append(_TRAY, _RETREAT_M)
        else:
            position = np.append(tool[:2], 0.14)
        return _Goal(position=position, yaw=0.0, opening=task.GRIPPER_MAX_M)

    def _carry(self, tool: Floats) -> _Goal:
        to_tray = _TRAY - tool[:2]
        distance = float(np.linalg.norm(to_tray))
        if distance < 0.03 and tool[2] < 0.045:
            return _Goal(position=tool, yaw=0.0, opening=task.GRIPPER_MAX_M)
        if distance < 0.02:
            down = np.append(_TRAY, _RELEASE_M)
            return _Goal(position=down, yaw=0.0, opening=0.0, ahead_m=_AHEAD_CLOSE_M)
        if distance > 0.10 and tool[2] < 0.10:
            # Straight up first, then leaning towards the tray.
            lean = 0.25 * to_tray if tool[2] > 0.07 else np.zeros(2)
            position, yaw = np.append(tool[:2] + lean, _CARRY_M), self._sim.tool_yaw
        else:
            position, yaw = np.append(_TRAY, _CARRY_M), 0.0
        return _Goal(position=position, yaw=yaw, opening=0.0)

    def _reach(self, tool: Floats, cube: Floats) -> _Goal:
        grasp = self._grasp_yaw()
        aside = float(np.linalg.norm(tool[:2] - cube[:2]))
        turned = abs(_half_turn(self._sim.tool_yaw - grasp))
        yaw = grasp if aside < _TURN_WITHIN_M else 0.0
        wide = task.GRIPPER_MAX_M
        if aside > 0.03 and tool[2] < 0.07:
            position, opening, ahead_m = np.append(tool[:2], _HOVER_M), wide, _AHEAD_M
        elif aside > 0.012 or turned > _TURNED_RAD:
            position, opening, ahead_m = np.append(cube[:2], _HOVER_M), wide, _AHEAD_M
        else:
            closing = tool[2] < cube[2] + 0.008
            position, opening, ahead_m = cube, 0.0 if closing else wide, _AHEAD_CLOSE_M
        return _Goal(
            position=position,
            yaw=yaw,
            opening=opening,
            ahead_m=ahead_m,
            ahead_rad=_AHEAD_GRASP_RAD,
        )

    def _grasp_yaw(self) -> float:
        """Return the turn at which the fingers meet two faces of the cube, rad.

        Of the ways to take a cube, the one nearest to how the hand is turned now: another rule
        would turn the hand back and forth over a cube that lies at 45 degrees. A way on which a
        finger would come down on another cube is taken only if there is no other.
        """
        sim = self._sim
        yaw = sim.cube_yaw(sim.scene.target)
        ways = [yaw + quarters * np.pi / 2 for quarters in range(-4, 5)]
        within = [way for way in ways if abs(way) <= _LARGEST_YAW_RAD]
        usual = [way for way in within if abs(way) <= _USUAL_YAW_RAD]
        free = [way for way in usual if self._free(way)] or list(filter(self._free, within))
        likely = free or usual
        return min(likely, key=lambda way: abs(_half_turn(way - sim.tool_yaw)))

    def _free(self, yaw: float) -> bool:
        """Tell whether both open fingers find room beside the cube."""
        sim = self._sim
        cube = sim.cube_position(sim.scene.target)[:2]
        aside = _FINGER_M * np.array([-np.sin(yaw), np.cos(yaw)])
        return not any(
            np.linalg.norm(sim.cube_position(colour)[:2] - cube - side * aside) < _FINGER_ROOM_M
            for colour in task.COLOURS
            if colour != sim.scene.target
            for side in (-1.0, 1.0)
        )


def _half_turn(angle: float) -> float:
    """Fold an angle into [-pi/2, pi/2): the hand is the same after half a turn."""
    return float((angle + np.pi / 2) % np.pi - np.pi / 2)
