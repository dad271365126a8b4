# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node `sim_robot`: its first scene, and the faults that it can be given."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from bc_runtime.ros.parameters import Parameter
from bc_runtime.sim.faults import ActuationFault, CameraFault, FaultPlan, JointFault
from bc_runtime.sim.task import CAMERAS

PARAMETERS = (
    Parameter(
        name='seed',
        default=0,
        description='Scene at the start',
        read_only=True,
        minimum=0,
        maximum=2**31,
    ),
    Parameter(
        name='instruction',
        default='',
        read_only=True,
        description='Instruction at the start; empty: the seed chooses',
    ),
    Parameter(
        name='faults.cameras',
        default=list(CAMERAS),
        description='Cameras that faults.camera and faults.image_noise apply to',
    ),
    Parameter(
        name='faults.camera', default='none', description=f'Camera fault: {", ".join(CameraFault)}'
    ),
    Parameter(
        name='faults.joints',
        default='none',
        description=f'Joint sensor fault: {", ".join(JointFault)}',
    ),
    Parameter(
        name='faults.actuation',
        default='none',
        description=f'Drive fault: {", ".join(ActuationFault)}',
    ),
    Parameter(
        name='faults.actuation_lag_s',
        default=0.0,
        minimum=0.0,
        maximum=5.0,
        description='Delay from a set-point to its effect [s]',
    ),
    Parameter(
        name='faults.position_noise',
        default=0.0,
        minimum=0.0,
        maximum=1.0,
        description='Standard deviation of measured joint positions [rad]',
    ),
    Parameter(
        name='faults.image_noise',
        default=0.0,
        minimum=0.0,
        maximum=255.0,
        description='Standard deviation of pixels [grey levels]',
    ),
)


def fault_plan(node: Node, changed: Sequence[RosParameter] = ()) -> FaultPlan:
    """Return the plan that a node's `faults.*` parameters describe.

    Args:
        node: Has `PARAMETERS` declared.
        changed: Values that are about to replace the present ones.

    Raises:
        SimError: The values do not make a plan.
    """
    names = [each.name for each in PARAMETERS if each.name.startswith('faults.')]
    values = {name: node.get_parameter(name).value for name in names}
    values.update({each.name: each.value for each in changed if each.name in values})
    return FaultPlan.from_fields(
        {name.removeprefix('faults.'): value for name, value in values.items()}
    )
