# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Deploy a policy: `ros2 launch bc_runtime deploy.launch.py robot:=my.yaml model:=policy.onnx`.

A renderer of `bc_runtime.deployment` and nothing more; `--show-args` prints the arguments.
"""

from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from bc_runtime.deployment import ARGUMENTS, PACKAGE, NodeDescription, describe
from bc_runtime.heartbeat import SELF, VARIABLE
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity


def _node(description: NodeDescription) -> LifecycleNode:
    return LifecycleNode(
        package=PACKAGE,
        executable=description.executable,
        name=description.name,
        namespace=description.namespace,
        parameters=[description.params_file, dict(description.parameters)],
        remappings=list(description.remappings.items()),
        arguments=[
            '--ros-args',
            *('--enclave', description.enclave),
            *('--log-level', f'{description.logger}:={description.log_level}'),
        ],
        output='screen',
        # The controller brakes before it ends.
        sigterm_timeout='5',
        # launch cannot listen to heartbeats; what is stuck ends itself and is started again.
        additional_env={VARIABLE: SELF} if description.restarts else {},
        respawn=description.restarts > 0,
        respawn_max_retries=description.restarts,
    )


def _deploy(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    actions: list[LaunchDescriptionEntity] = []
    for description in describe(given).nodes:
        node = _node(description)
        reason = f'{description.name} has ended'
        actions.append(node)
        if not description.required or description.restarts:
            continue
        # No other part of a deployment is worth running without the others.
        actions.append(
            RegisterEventHandler(
                OnProcessExit(
                    target_action=node, on_exit=[EmitEvent(event=Shutdown(reason=reason))]
                )
            )
        )
    return actions


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    a.name,
                    default_value=a.default,
                    description=a.description,
                    choices=list(a.choices) or None,
                )
                for a in ARGUMENTS
            ),
            OpaqueFunction(function=_deploy),
        ]
    )
