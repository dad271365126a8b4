# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Deploy a policy: `ros2 launch bc_runtime deploy.launch.py robot:=my.yaml model:=policy.onnx`.

Starts `bc deploy`, which supervises the nodes; `--show-args` prints the arguments.
"""

import inspect
import os
from pathlib import Path
import signal

from ament_index_python.packages import get_package_prefix
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessStart, OnShutdown
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from bc_runtime.deployment import ARGUMENTS, PACKAGE, describe
from bc_runtime.launch_arguments import in_group, refuse_undeclared
from bc_runtime.parent import VARIABLE, ending_with_parent
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

#: Time for the supervisor on top of the robot's braking before launch sends SIGTERM [s].
SUPERVISOR_S = 5.0


class DeploymentFailed(RuntimeError):
    """The deployment has not ended because it was asked to."""


def _ended(event: ProcessExited, context: LaunchContext) -> EmitEvent | None:
    if event.returncode != 0:
        # launch ends with an exit code other than 0 only after an exception.
        raise DeploymentFailed(f'the deployment has ended with exit code {event.returncode}')
    if context.is_shutdown:
        return None
    return EmitEvent(event=Shutdown(reason='the deployment has ended'))


def _interrupt(deployment: ExecuteProcess, context: LaunchContext) -> None:
    """Send SIGINT to a deployment that is to end.

    launch itself leaves that to the terminal after a SIGINT of its own. Where there is no
    terminal, nothing would be told to stop for 5 s.
    """
    pid = (deployment.process_details or {}).get('pid')
    if context.is_shutdown and pid is not None and deployment.return_code is None:
        os.kill(pid, signal.SIGINT)


def _deploy(
    context: LaunchContext, includer: IncludeLaunchDescription | None
) -> list[LaunchDescriptionEntity]:
    if includer is None:
        names = [each.partition(':=')[0] for each in context.argv]
    else:
        names = [
            perform_substitutions(context, normalize_to_list_of_substitutions(name))
            for name, _ in includer.launch_arguments
        ]
    refuse_undeclared(names)
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    given = in_group(given, context.launch_configurations)
    braking_s = describe(given).braking_s
    # The file of the package runs in the Python that the package was built with.
    program = Path(get_package_prefix(PACKAGE)) / 'lib' / PACKAGE / 'bc'
    prefixed = bool(context.launch_configurations.get('launch-prefix'))
    deployment = ExecuteProcess(
        cmd=[
            *ending_with_parent(hold=True),
            *(str(program), 'deploy'),
            *(f'--{name}={value}' for name, value in given.items()),
        ],
        name='deployment',
        output='screen',
        sigterm_timeout=str(braking_s + SUPERVISOR_S),
        additional_env={} if prefixed else {VARIABLE: str(os.getpid())},
        on_exit=_ended,
    )
    return [
        RegisterEventHandler(
            OnProcessStart(
                target_action=deployment, on_start=lambda _, within: _interrupt(deployment, within)
            )
        ),
        RegisterEventHandler(
            OnShutdown(on_shutdown=lambda _, within: _interrupt(deployment, within))
        ),
        deployment,
    ]


def _includer() -> IncludeLaunchDescription | None:
    """Return the action that includes this file, of `ros2 launch` or of another launch file.

    Only it knows which arguments are meant for this file: launch mixes them with those of all
    files that include it, and silently uses what nobody has declared.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get('self')
        if isinstance(caller, IncludeLaunchDescription):
            return caller
        frame = frame.f_back
    return None


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
            OpaqueFunction(function=_deploy, args=[_includer()]),
        ]
    )
