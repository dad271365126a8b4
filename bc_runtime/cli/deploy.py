# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc deploy`: run a deployment as supervised processes. `ros2 launch` runs it, too."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
import signal
import sys
import threading

from bc_runtime.binding import check_binding
from bc_runtime.cli.processes import ProcessGroup
from bc_runtime.cli.sros2_policy import policy_xml
from bc_runtime.deployment import ARGUMENTS, Deployment, describe
from bc_runtime.parent import parent_has_died, release_signals
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.resources import model_directories, require_log_folder

_POLL_S = 0.1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and one option per launch argument."""
    parser = subparsers.add_parser(
        'deploy',
        help='run a policy on a robot',
        description='Run a policy on a robot: the same nodes and parameters as '
        '`ros2 launch bc_runtime deploy.launch.py`. Nothing moves before '
        '`ros2 service call /controller/start std_srvs/srv/Trigger`.',
    )
    add_arguments(parser)
    parser.add_argument(
        '--print-sros2-policy',
        action='store_true',
        help='print the SROS 2 policy file of this deployment, and start nothing',
    )
    parser.set_defaults(verb='deploy')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the launch arguments to a parser."""
    for argument in ARGUMENTS:
        names = [f'--{argument.name}']
        dashed = f'--{argument.name.replace("_", "-")}'
        if dashed not in names:
            names.append(dashed)
        parser.add_argument(
            *names,
            dest=argument.name,
            default=argument.default,
            choices=argument.choices or None,
            help=f'{argument.description} (default: {argument.default or "none"})',
        )


def prepare(given: Mapping[str, str]) -> Deployment:
    """Return the deployment after checking robot and policy against each other.

    Everything that can be found wrong without a running robot is found here, before any process.

    Raises:
        BcError: bad argument, robot YAML, policy file, or a policy that does not fit the robot.
    """
    deployment = describe(given)
    require_log_folder()
    for name in ('model', 'shadow_model'):
        model = deployment.arguments[name]
        if model:
            folders = [Path(p) for p in deployment.arguments['model_directories'].split(':') if p]
            spec = spec_of(model, folders or model_directories())
            check_binding(spec, deployment.robot)
    return deployment


def run(arguments: argparse.Namespace) -> int:
    """Start, watch and stop the deployment; return 0 only if it was asked to end, and did."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda *_: stop.set())
    release_signals()
    given = {a.name: getattr(arguments, a.name) for a in ARGUMENTS}
    if arguments.print_sros2_policy:
        print(policy_xml(describe(given)))
        return 0
    deployment = prepare(given)
    if stop.is_set() or parent_has_died():
        return 0
    group = ProcessGroup()
    failed: tuple[str, int] | None = None
    try:
        group.start(deployment.nodes)
        while failed is None and not stop.wait(_POLL_S):
            failed = group.ended()
        if failed is not None:
            print(f'{_end_of(*failed)}; stopping the others', file=sys.stderr)
    finally:
        problems = group.stop()
    for problem in problems:
        print(problem, file=sys.stderr)
    if failed is not None:
        return max(failed[1], 1)
    return 1 if problems else 0


def _end_of(name: str, code: int) -> str:
    if code < 0:
        return f'{name} was ended by signal {-code}'
    return f'{name} has ended with code {code}; its last lines say why'
