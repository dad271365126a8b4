# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo model of the robot and its table, built from primitive shapes.

Links are gravity-compensated and do not collide; only the fingers, the cubes, the table and the
tray touch each other. Joints are driven by position actuators with the gains of a small table
robot. Masses in kg, lengths in m, angles in rad.
"""

from __future__ import annotations

from typing import Final

import mujoco

from bc_runtime.sim.task import (
    COLOURS,
    CUBE_HALF_M,
    GRIPPER_MAX_M,
    JOINT_NAMES,
    TRAY_CENTRE,
    TRAY_HALF_M,
)

_CUBE_RGB: Final = {
    'red': (0.86, 0.16, 0.14),
    'green': (0.16, 0.66, 0.25),
    'blue': (0.17, 0.33, 0.86),
}
# Per arm joint: stiffness Nm/rad, damping Nm s/rad, torque limit Nm.
_GAINS: Final = (
    (120, 8, 30),
    (200, 12, 60),
    (160, 10, 40),
    (40, 2, 10),
    (60, 3, 12),
    (30, 1.5, 8),
)
FINGERS: Final = ('finger_left', 'finger_right')
FINGER_STROKE_M: Final = GRIPPER_MAX_M / 2

_CONTACT: Final = 'condim="4" solimp=".95 .99 .001" solref=".004 1"'
_SHELL: Final = 'rgba=".88 .88 .90 1" contype="0" conaffinity="0"'
_JOINT_COVER: Final = 'rgba=".95 .55 .15 1" contype="0" conaffinity="0"'
_DARK: Final = 'rgba=".22 .23 .26 1" contype="0" conaffinity="0"'
_TRAY: Final = 'type="box" rgba=".30 .32 .36 1"'


def build_model(timestep_s: float = 0.002) -> mujoco.MjModel:
    """Compile the model.

    Degrees of freedom in order: the six arm joints, the left and the right finger, then the free
    joint of each cube.
    """
    return mujoco.MjModel.from_xml_string(_mjcf(timestep_s))


def _mjcf(timestep_s: float) -> str:
    return f"""
<mujoco model="sim_arm">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{timestep_s!r}" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <default><joint damping="2" armature=".02"/></default>
  <worldbody>
    <geom name="table" type="box" pos=".25 0 -.02" size=".45 .5 .02" rgba=".80 .74 .64 1"
      friction="1 .01 .001"/>
    {_tray()}
    <camera name="front" pos=".86 -.06 .62" xyaxes=".06 1 0 -.70 .042 .71" fovy="36"/>
    {_arm()}
    {''.join(_cube(colour) for colour in COLOURS)}
  </worldbody>
  <contact><exclude body1="finger_left" body2="finger_right"/></contact>
  <actuator>{_actuators()}</actuator>
</mujoco>"""


def _tray() -> str:
    x, y = TRAY_CENTRE
    half = TRAY_HALF_M
    walls = (
        (x, y + half, half, 0.004),
        (x, y - half, half, 0.004),
        (x - half, y, 0.004, half),
        (x + half, y, 0.004, half),
    )
    floor = f'<geom name="tray_floor" pos="{x} {y} .003" size="{half} {half} .003" {_TRAY}/>'
    return floor + ''.join(
        f'<geom name="tray_wall_{i}" pos="{wx} {wy} .012" size="{sx} {sy} .012" {_TRAY}/>'
        for i, (wx, wy, sx, sy) in enumerate(walls)
    )


def _cube(colour: str) -> str:
    red, green, blue = _CUBE_RGB[colour]
    half = CUBE_HALF_M
    return f"""
    <body name="cube_{colour}" pos="0 0 {half}">
      <freejoint name="cube_{colour}"/>
      <geom name="cube_{colour}" type="box" size="{half} {half} {half}" mass=".06"
        rgba="{red} {green} {blue} 1" friction="1.5 .02 .001" {_CONTACT}/>
    </body>"""


def _arm() -> str:
    return f"""
    <body name="base">
      <geom type="cylinder" size=".06 .04" pos="0 0 .04" {_DARK}/>
      <body name="link_1" pos="0 0 .08" gravcomp="1">
        <joint name="joint_1" axis="0 0 1" range="-2.6 2.6"/>
        <geom type="cylinder" size=".045 .04" pos="0 0 .04" {_SHELL}/>
        <body name="link_2" pos="0 0 .08" gravcomp="1">
          <joint name="joint_2" axis="0 1 0" range="-1.6 1.9"/>
          <geom type="capsule" fromto="0 0 0 0 0 .12" size=".034" {_SHELL}/>
          <geom type="capsule" fromto="0 0 .12 0 0 .24" size=".034" {_SHELL}/>
          <geom type="sphere" size=".042" {_JOINT_COVER}/>
          <body name="link_3" pos="0 0 .24" gravcomp="1">
            <joint name="joint_3" axis="0 1 0" range="-.2 2.9"/>
            <geom type="sphere" size=".038" {_JOINT_COVER}/>
            <geom type="capsule" fromto="0 0 0 0 0 .10" size=".028" {_SHELL}/>
            <geom type="capsule" fromto="0 0 .10 0 0 .20" size=".028" {_SHELL}/>
            <body name="link_4" pos="0 0 .20" gravcomp="1">
              <joint name="joint_4" axis="0 0 1" range="-2.9 2.9" damping="1"/>
              <geom type="cylinder" size=".026 .012" {_SHELL}/>
              <body name="link_5" gravcomp="1">
                <joint name="joint_5" axis="0 1 0" range="-2.2 2.2" damping="1"/>
                <geom type="sphere" size=".031" {_JOINT_COVER}/>
                <geom type="capsule" fromto="0 0 0 0 0 .05" size=".024" {_SHELL}/>
                {_hand()}
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>"""


def _hand() -> str:
    return f"""
                <body name="hand" pos="0 0 .06" gravcomp="1">
                  <joint name="joint_6" axis="0 0 1" range="-3.1 3.1" damping="1"/>
                  <geom type="box" size=".018 .062 .014" pos="0 0 .014" mass=".1" {_DARK}/>
                  <camera name="wrist" pos=".065 0 -.01" xyaxes="0 1 0 1 0 .25" fovy="92"/>
                  <site name="tool" pos="0 0 .085" size=".004"/>
                  {_finger('finger_left', 1)}
                  {_finger('finger_right', -1)}
                </body>"""


def _finger(name: str, side: int) -> str:
    # The inner face lies on the hand's middle plane at zero travel: the sum of the two travels
    # is the opening between the fingers.
    return f"""
                  <body name="{name}" pos="0 0 .03" gravcomp="1">
                    <joint name="{name}" type="slide" axis="0 {side} 0"
                      range="0 {FINGER_STROKE_M}" damping="8" armature=".01"/>
                    <geom type="box" size=".010 .006 .034" pos="0 {side * 0.006} .032" mass=".02"
                      rgba=".45 .47 .5 1" friction="2 .05 .001" {_CONTACT}/>
                  </body>"""


def _actuators() -> str:
    arm = ''.join(
        f'<position name="{name}" joint="{name}" kp="{kp}" kv="{kv}" forcerange="-{most} {most}"/>'
        for name, (kp, kv, most) in zip(JOINT_NAMES[:6], _GAINS, strict=True)
    )
    return arm + ''.join(
        f'<position name="{name}" joint="{name}" kp="400" forcerange="-12 12"/>'
        for name in FINGERS
    )
