# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`ArmSim`: the robot in its scene, driven by set-points and stepped in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bc_runtime.sim import task
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.model import build_model
from bc_runtime.sim.scene import Scene, sample_scene

# The driver closes past the commanded opening, more the smaller it is, so that a gripper which is
# told 'closed' presses on what is between its fingers.
_SQUEEZE_M: Final = 0.002
_SQUEEZE_BELOW_M: Final = task.GRIPPER_MAX_M / 2
_INTEGRATION: Final = int(mujoco.mjtState.mjSTATE_INTEGRATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometrySnapshot:
    """Poses of all shapes and cameras at one instant: what a `Painter` needs of `MjData`.

    Attributes:
        geom_xpos: Centres of the shapes, (ngeom, 3) m.
        geom_xmat: Their orientations, (ngeom, 9), row-major rotation matrices.
        cam_xpos: Positions of the cameras, (ncam, 3) m.
        cam_xmat: Their orientations, (ncam, 9).
    """

    geom_xpos: NDArray[np.float64]
    geom_xmat: NDArray[np.float64]
    cam_xpos: NDArray[np.float64]
    cam_xmat: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimState:
    """Everything that decides how a simulation goes on.

    Attributes:
        physics: MuJoCo's integration state.
        setpoint: The command that is held, (7,) rad and m.
        scene: On the table.
        due_ns: Time asked for since the reset.
        done_ns: Time simulated since the reset.
        wrong_cube: Whether another cube was mishandled so far.
    """

    physics: NDArray[np.float64]
    setpoint: NDArray[np.float64]
    scene: Scene
    due_ns: int
    done_ns: int
    wrong_cube: bool


class ArmSim:
    """A six-joint arm with a gripper over a table with three cubes and a tray.

    Vectors of seven follow `task.JOINT_NAMES`: six angles in rad, then the opening between the
    fingers in m (0 closed, `task.GRIPPER_MAX_M` open). The last command is held until the next.
    Not thread-safe: a caller with threads guards it with one lock.

    Attributes:
        model: The compiled MuJoCo model.
        data: Its state; poses in it belong to the current positions after `reset` and `step`.
        lower: Smallest mechanical positions, (7,).
        upper: Largest mechanical positions, (7,).
    """

    def __init__(self, *, timestep_s: float = 0.002) -> None:
        if not timestep_s >= 1e-4:
            raise SimError(f'expected a timestep of 0.0001 s or more, got {timestep_s!r} s')
        self.model = build_model(timestep_s)
        self.data = mujoco.MjData(self.model)
        arm_range = self.model.jnt_range[:6]
        self.lower: NDArray[np.float64] = np.append(arm_range[:, 0], 0.0)
        self.upper: NDArray[np.float64] = np.append(arm_range[:, 1], task.GRIPPER_MAX_M)
        self._timestep_ns = round(timestep_s * 1e9)
        self._tool = self.model.site('tool').id
        cubes = {colour: self.model.joint(f'cube_{colour}') for colour in task.COLOURS}
        self._cube_qpos = {colour: int(joint.qposadr[0]) for colour, joint in cubes.items()}
        self._cube_qvel = {colour: int(joint.dofadr[0]) for colour, joint in cubes.items()}
        self._others: tuple[str, ...] = ()
        self.reset(0)

    def reset(self, seed: int, instruction: str | None = None) -> Scene:
        """Put the scene of a seed on the table and the arm at its start, at rest.

        Args:
            seed: Zero or positive; the same seed gives the same scene everywhere.
            instruction: One of `task.INSTRUCTIONS`; the seed chooses if empty or None.

        Raises:
            SimError: The seed is negative or the instruction is unknown.
        """
        scene = sample_scene(seed, instruction)
        data = self.data
        mujoco.mj_resetData(self.model, data)
        data.qpos[:6] = scene.arm_start
        data.qpos[6:8] = task.GRIPPER_MAX_M / 2
        for colour, place in scene.cubes.items():
            at = self._cube_qpos[colour]
            half = place.yaw / 2
            data.qpos[at : at + 3] = (place.x, place.y, task.CUBE_HALF_M)
            data.qpos[at + 3 : at + 7] = (np.cos(half), 0.0, 0.0, np.sin(half))
        mujoco.mj_forward(self.model, data)
        self._set_scene(scene)
        self._due_ns = 0
        self._done_ns = 0
        self._wrong_cube = False
        self._episode = getattr(self, '_episode', 0) + 1
        self.command(np.append(scene.arm_start, task.GRIPPER_MAX_M))
        return scene

    def command(self, positions: ArrayLike) -> None:
        """Set the set-point that the joint drives hold from now on.

        Args:
            positions: (7,) rad and m; clipped to the mechanical range.

        Raises:
            SimError: Not seven numbers, or one of them is NaN or infinite.
        """
        wanted = np.array(positions, dtype=np.float64)
        if wanted.shape != (len(task.JOINT_NAMES),):
            raise SimError(
                f'expected {len(task.JOINT_NAMES)} positions ({", ".join(task.JOINT_NAMES)}), '
                f'got an array of shape {wanted.shape}'
            )
        if not np.isfinite(wanted).all():
            bad = [n for n, v in zip(task.JOINT_NAMES, wanted, strict=True) if not np.isfinite(v)]
            raise SimError(
                f'expected finite positions, got {wanted.tolist()} (see {", ".join(bad)}); '
                'the last command is held'
            )
        wanted = np.clip(wanted, self.lower, self.upper)
        wanted.setflags(write=False)
        self._setpoint = wanted
        opening = wanted[6]
        squeeze = _SQUEEZE_M * max(0.0, 1.0 - opening / _SQUEEZE_BELOW_M)
        self.data.ctrl[:6] = wanted[:6]
        self.data.ctrl[6:8] = opening / 2 - squeeze

    def step(self, duration_s: float) -> None:
        """Advance the physics by a whole number of timesteps.

        What is left of a duration is carried to the next call, so that time does not drift.
        """
        if not duration_s >= 0.0:
            raise SimError(f'expected a duration of zero or more, got {duration_s!r} s')
        self._due_ns += round(duration_s * 1e9)
        count = (self._due_ns - self._done_ns) // self._timestep_ns
        if count < 1:
            return
        mujoco.mj_step(self.model, self.data, count)
        self._done_ns += count * self._timestep_ns
        # mj_step leaves the poses of the positions before the last integration.
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        if not self._wrong_cube:
            self._wrong_cube = any(
                task.mishandled(self.cube_position(colour)) for colour in self._others
            )

    @property
    def time_s(self) -> float:
        """Simulated time since `reset`, s."""
        return self._done_ns / 1e9

    @property
    def episode(self) -> int:
        """How often the scene was reset; a new number means a new episode."""
        return self._episode

    @property
    def instruction(self) -> str:
        """The sentence that the robot is given in this scene."""
        return self.scene.instruction

    @property
    def setpoint(self) -> NDArray[np.float64]:
        """The command that is held now, after clipping, (7,), read-only."""
        return self._setpoint

    @property
    def joint_positions(self) -> NDArray[np.float64]:
        """Measured positions, (7,), rad and m."""
        qpos = self.data.qpos
        return np.append(qpos[:6], qpos[6] + qpos[7])

    @property
    def joint_velocities(self) -> NDArray[np.float64]:
        """Measured velocities, (7,), rad/s and m/s."""
        qvel = self.data.qvel
        return np.append(qvel[:6], qvel[6] + qvel[7])

    @property
    def tool_position(self) -> NDArray[np.float64]:
        """The point between the finger tips in the world frame, (3,) m."""
        return np.array(self.data.site_xpos[self._tool])

    @property
    def tool_yaw(self) -> float:
        """Turn of the hand about the vertical for a tool that points down, rad."""
        rotation = self.data.site_xmat[self._tool]
        return float(np.arctan2(rotation[3], rotation[0]))

    def cube_position(self, colour: str) -> NDArray[np.float64]:
        """Centre of a cube in the world frame, (3,) m."""
        at = self._cube_qpos[colour]
        return np.array(self.data.qpos[at : at + 3])

    def cube_yaw(self, colour: str) -> float:
        """Turn of a cube about the vertical, rad."""
        at = self._cube_qpos[colour]
        w, x, y, z = self.data.qpos[at + 3 : at + 7]
        return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))

    def cube_speed(self, colour: str) -> float:
        """Speed of a cube's centre, m/s."""
        at = self._cube_qvel[colour]
        return float(np.linalg.norm(self.data.qvel[at : at + 3]))

    def success(self) -> bool:
        """Tell whether the named cube rests in the tray and the gripper is open and away."""
        target = self.scene.target
        return task.placed(
            self.cube_position(target),
            speed=self.cube_speed(target),
            tool_height=float(self.data.site_xpos[self._tool][2]),
            gripper_opening=float(self.data.qpos[6] + self.data.qpos[7]),
        )

    def wrong_cube(self) -> bool:
        """Tell whether another cube was put in the tray or lifted at any time since `reset`."""
        return self._wrong_cube

    def state(self) -> SimState:
        """Copy what `restore` needs."""
        physics = np.empty(mujoco.mj_stateSize(self.model, _INTEGRATION))
        mujoco.mj_getState(self.model, self.data, physics, _INTEGRATION)
        return SimState(
            physics=physics,
            setpoint=self._setpoint,
            scene=self.scene,
            due_ns=self._due_ns,
            done_ns=self._done_ns,
            wrong_cube=self._wrong_cube,
        )

    def restore(self, state: SimState) -> None:
        """Go on from a state of this simulation, or of another one with the same timestep."""
        mujoco.mj_setState(self.model, self.data, state.physics, _INTEGRATION)
        mujoco.mj_forward(self.model, self.data)
        self._set_scene(state.scene)
        self._due_ns, self._done_ns = state.due_ns, state.done_ns
        self._wrong_cube = state.wrong_cube
        self.command(state.setpoint)

    def _set_scene(self, scene: Scene) -> None:
        self.scene = scene
        self._others = tuple(colour for colour in task.COLOURS if colour != scene.target)

    def snapshot(self) -> GeometrySnapshot:
        """Copy the poses that a `Painter` needs, so that it can draw while time goes on."""
        data = self.data
        return GeometrySnapshot(
            geom_xpos=data.geom_xpos.copy(),
            geom_xmat=data.geom_xmat.copy(),
            cam_xpos=data.cam_xpos.copy(),
            cam_xmat=data.cam_xmat.copy(),
        )
