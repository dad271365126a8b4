# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Which joints are grippers. A gripper stops at what it holds, not where it was told to be.

So no check that expects a joint to follow its command, or to stand inside its limits, can be made
of a gripper; docs/explanation/safety.md has the table of joint types and checks.
"""

from __future__ import annotations

from bc_runtime.spec import ActionKind, PolicySpec, RobotConfig


def grippers_of(robot: RobotConfig, spec: PolicySpec | None = None) -> frozenset[str]:
    """Return the joints that the robot YAML calls grippers, or that the policy moves as such."""
    found = {joint.name for joint in robot.commanded if joint.gripper}
    if spec is not None:
        for group in spec.actions:
            if group.kind is ActionKind.GRIPPER:
                found.update(group.names)
    return frozenset(found)
