# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What `ros2 launch` was told, on the command line, by an including file or by a group.

Nothing of it is ignored: an argument that nobody reads may be a misspelt `dry_run`, and then the
robot would move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bc_runtime.deployment import refuse_unknown_arguments
from bc_runtime.spec.errors import ConfigError

#: Arguments that launch itself reads.
OF_LAUNCH = frozenset(
    {'launch-prefix', 'launch-prefix-filter', 'emulate_tty', 'sigterm_timeout', 'sigkill_timeout'}
)
#: Where launch_ros keeps what a group gives its nodes -> who does that, and what to do.
_OF_GROUPS = {
    'global_params': (
        'SetParameter, SetUseSimTime or SetParametersFromFile',
        'give `params_file:=` or `use_sim_time:=`',
    ),
    'ros_remaps': ('SetRemap', 'write the topics of the robot into its YAML'),
}
_NAMESPACE = 'ros_namespace'


def refuse_undeclared(names: Iterable[str]) -> None:
    """Refuse arguments that the launch file has not declared.

    Raises:
        ConfigError: names them, and what they were probably meant to be.
    """
    refuse_unknown_arguments(name for name in names if name not in OF_LAUNCH)


def in_group(given: Mapping[str, str], configurations: Mapping[str, object]) -> dict[str, str]:
    """Return the arguments in the namespace that a group pushes.

    Args:
        given: Name of an argument -> value.
        configurations: Of launch; what groups set is among them.

    Raises:
        ConfigError: the group sets something that does not reach the nodes of a deployment.
    """
    for key, (who, instead) in _OF_GROUPS.items():
        if configurations.get(key):
            raise ConfigError(
                f'{who} of a launch file does not reach the nodes of a deployment; {instead} '
                'in its place, and include deploy.launch.py outside that group'
            )
    pushed, own = str(configurations.get(_NAMESPACE) or ''), given['namespace']
    if not pushed.strip('/') or own.startswith('/'):
        return dict(given)
    parts = [part for part in (pushed.strip('/'), own.strip('/')) if part]
    return {**given, 'namespace': f'/{"/".join(parts)}'}
