# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted expert: puts the named cube in the tray, deciding from the state at each step.

The expert looks at where the tool, the gripper and the cube are *now*, so it can be asked in any
state: after a disturbance, or while something else moves the robot. What it remembers is the
motion of its own command, which has bounded speed and acceleration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim import task
from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.kinematics import DownwardKinematics
from bc_runtime.sim.motion import MotionLimits, next_velocity

Floats = NDArray[np.float64]

POLICY_HZ: Final = 15

_TOOL: Final = MotionLimits(speed=0.40, acceleration=0.8)
_TOOL_CLOSE: Final = MotionLimits(speed=0.25, acceleration=0.8)
_YAW: Final = MotionLimits(speed=1.8, acceleration=2.7)
_GRIPPER: Final = MotionLimits(speed=0.30, acceleration=1.15)
_SETTLE: Final = MotionLimits(speed=1.5, acceleration=2.0)

# How long the arm trails its command, s: drive damping over stiffness, measured.
_LAG_S: Final = 0.085
# Share of the distance between command and arm (beyond the lag) that is given up at each step.
_YIELD: Final = 0.15
# Beyond this the command starts again from where the arm is, m.
_LOST_M: Final = 0.15

_HOVER_M: Final = 0.09
_CARRY_M: Final = 0.13
_RELEASE_M: Final = 0.035
_RETREAT_M: Final = 0.20
_TRAY: Final = np.array(task.TRAY_CENTRE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Goal:
    """Where the expert wants the hand: position (3,) m, yaw rad, opening m."""

    position: Floats
    yaw: float
    opening: float
    limits: MotionLimits = _TOOL


class Expert:
    """Commands for the next policy step, from the state of a simulated robot.

    Args:
        sim: The robot; read, never changed.
        dt_s: Length of a policy step, s.
    """

    # Motion of the command: tool position (3,) m, yaw rad, opening m, joints (6,) rad, and the
    # part of the joints that the pose does not explain.
    _position: Floats
    _velocity: Floats
    _yaw: float
    _yaw_rate: Floats
    _opening: float
    _grip_rate: Floats
    _joints: Floats
    _residual: Floats
    _settle_rate: Floats

    def __init__(self, sim: ArmSim, *, dt_s: float = 1 / POLICY_HZ) -> None:
        self._sim = sim
        self._dt_s = dt_s
        self._kinematics = DownwardKinematics(sim.model)
        self._episode = -1

    def act(self) -> Floats:
        """Return the set-point (7,) that the robot should have reached one policy step from now.

        To be called once per policy step; the command in between is a straight line.
        """
        sim = self._sim
        if sim.episode != self._episode:
            self._episode = sim.episode
            self._start_from(sim.setpoint)
        tool = sim.tool_position
        self._yield_to(tool)
        goal = self._goal(tool)
        dt_s = self._dt_s
        self._velocity = next_velocity(
            goal.position - self._position, self._velocity, limits=goal.limits, dt_s=dt_s
        )
        turn = np.array([_half_turn(goal.yaw - self._yaw)])
        self._yaw_rate = next_velocity(turn, self._yaw_rate, limits=_YAW, dt_s=dt_s)
        grip = np.array([goal.opening - self._opening])
        self._grip_rate = next_velocity(grip, self._grip_rate, limits=_GRIPPER, dt_s=dt_s)
        self._position = self._position + self._velocity * dt_s
        self._yaw += float(self._yaw_rate[0]) * dt_s
        self._opening += float(self._grip_rate[0]) * dt_s
        self._joints = self._kinematics.solve(self._position, self._yaw, self._joints)
        self._settle_rate = next_velocity(
            -self._residual, self._settle_rate, limits=_SETTLE, dt_s=dt_s
        )
        self._residual = self._residual + self._settle_rate * dt_s
        opening = np.clip(self._opening, 0.0, task.GRIPPER_MAX_M)
        return np.append(self._joints + self._residual, opening)

    def _start_from(self, setpoint: Floats) -> None:
        self._position, self._yaw = self._kinematics.forward(setpoint[:6])
        self._joints = self._kinematics.solve(self._position, self._yaw, setpoint[:6])
        # The tool may be tilted here; what the downward solution lacks is given up smoothly.
        self._residual = setpoint[:6] - self._joints
        self._settle_rate = np.zeros(6)
        self._opening = float(setpoint[6])
        self._velocity = np.zeros(3)
        self._yaw_rate = np.zeros(1)
        self._grip_rate = np.zeros(1)

    def _yield_to(self, tool: Floats) -> None:
        """Let the command give way to where the arm is, as a hand that guides it would."""
        gap = tool + _LAG_S * self._velocity - self._position
        if np.linalg.norm(gap) > _LOST_M:
            self._start_from(self._sim.joint_positions)
        else:
            self._position = self._position + _YIELD * gap

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
            position = self._position
        elif tool[2] > 0.10:
            position = np.append(_TRAY, _RETREAT_M)
        else:
            position = np.append(tool[:2], 0.14)
        return _Goal(position=position, yaw=0.0, opening=task.GRIPPER_MAX_M)

    def _carry(self, tool: Floats) -> _Goal:
        to_tray = _TRAY - tool[:2]
        distance = float(np.linalg.norm(to_tray))
        if distance < 0.03 and tool[2] < 0.045:
            return _Goal(position=self._position, yaw=0.0, opening=task.GRIPPER_MAX_M)
        if distance < 0.02:
            down = np.append(_TRAY, _RELEASE_M)
            return _Goal(position=down, yaw=0.0, opening=0.0, limits=_TOOL_CLOSE)
        if distance > 0.10 and tool[2] < 0.10:
            # Straight up first, then leaning towards the tray.
            lean = 0.25 * to_tray if tool[2] > 0.07 else np.zeros(2)
            position, yaw = np.append(tool[:2] + lean, _CARRY_M), self._yaw
        else:
            position, yaw = np.append(_TRAY, _CARRY_M), 0.0
        return _Goal(position=position, yaw=yaw, opening=0.0)

    def _reach(self, tool: Floats, cube: Floats) -> _Goal:
        quarter = np.pi / 2
        yaw = self._sim.cube_yaw(self._sim.scene.target)
        yaw = float((yaw + quarter / 2) % quarter - quarter / 2)
        aside = float(np.linalg.norm(tool[:2] - cube[:2]))
        turned = abs(_half_turn(self._sim.tool_yaw - yaw))
        wide = task.GRIPPER_MAX_M
        if aside > 0.03 and tool[2] < 0.07:
            return _Goal(position=np.append(tool[:2], _HOVER_M), yaw=yaw, opening=wide)
        if aside > 0.012 or turned > 0.12:
            above = np.append(cube[:2], _HOVER_M)
            return _Goal(position=above, yaw=yaw, opening=wide)
        closing = tool[2] < cube[2] + 0.008
        opening = 0.0 if closing else wide
        return _Goal(position=cube, yaw=yaw, opening=opening, limits=_TOOL_CLOSE)


def _half_turn(angle: float) -> float:
    """Fold an angle into [-pi/2, pi/2): the hand is the same after half a turn."""
    return float((angle + np.pi / 2) % np.pi - np.pi / 2)
