# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot: a six-joint arm with a gripper, three cubes, a tray and two cameras.

Physics is MuJoCo; the cameras are drawn with OpenCV, so that neither a display nor OpenGL is
needed. Import from the modules; this package imports nothing by itself.

* `task`: names, instructions, what counts as success
* `scene`: seeded scenes
* `arm`: `ArmSim`, the robot in its scene
* `painter`: `Painter`, what the cameras see
* `expert`: `Expert`, the scripted demonstrator
* `demonstrations`: episodes of the expert for training
* `faults`: what can be made to go wrong
"""
