# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc check`: does a policy fit a robot? What can be known without the robot running."""

from __future__ import annotations

import argparse

from bc_runtime.binding import check_actions
from bc_runtime.observation import bind
from bc_runtime.policy import load_policy
from bc_runtime.resources import model_directories, require_log_folder, robot_file
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.errors import ConfigError
from bc_runtime.spec.ros_names import namespace_problem

EXIT_NOT_READY = 1
#: How long to look for a running deployment, if it need not be there, and if it must [s].
LOOK_S = 1.5
WAIT_S = 5.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'check',
        help='check that a policy fits a robot',
        description='Load the robot YAML and the policy, run its self-test, and compare joints, '
        'units, cameras and instruction. Nothing is started. If a deployment is running, its '
        'preflight is asked for, too: rates, encodings, QoS, clocks, other commanders, provider, '
        'and a rehearsal of the policy in which nothing moves.',
    )
    parser.add_argument('--namespace', default='', help='namespace of the running deployment')
    parser.add_argument(
        '--graph',
        default='auto',
        choices=('auto', 'yes', 'no'),
        help='ask the running deployment: if there is one of this robot, in any case, or not',
    )
    parser.add_argument('--robot', default='sim_arm', help='robot YAML or shipped robot')
    parser.add_argument('--model', default='sim_arm_act', help='policy file or shipped model')
    parser.set_defaults(verb='check')


def run(arguments: argparse.Namespace) -> int:
    """Print what was checked; a mismatch is an error that prints both sides."""
    problem = namespace_problem(arguments.namespace)
    if problem:
        raise ConfigError(f'--namespace: {problem}')
    require_log_folder()
    robot = RobotConfig.from_file(robot_file(arguments.robot))
    print(f'robot   {robot.name}: {len(robot.joints)} joints, {robot.command.rate_hz:g} Hz')
    policy = load_policy(arguments.model, model_dirs=model_directories())
    spec = policy.spec
    print(f'policy  {spec.name} ({spec.family}), {policy.policy_id[:12]}, {policy.provider}')
    if spec.self_test is not None:
        print(f'        self-test passed, largest deviation {policy.self_test_error:.2g}')
    else:
        print('        no self-test in the file; `bc wrap` adds one')
    for request in bind(spec, robot).values():
        print(f'needs   {request.name:<16} {request.type:<32} on {request.topic}')
    check_actions(spec, robot)
    print(f'gives   {", ".join(spec.action_names)}')
    print(f'to      {robot.command.topic} ({robot.command.type})')
    if spec.chunk_size == 1:
        print(
            'warning one action per inference: the plan ends before the next one comes, and the '
            'robot brakes after each. `bc wrap --hold` writes a file that holds it'
        )
    ready = None if arguments.graph == 'no' else _preflight(arguments)
    if ready is None:
        print('\nthey fit; next: bc deploy --robot', arguments.robot, '--model', arguments.model)
        return 0
    return 0 if ready else EXIT_NOT_READY


def _preflight(arguments: argparse.Namespace) -> bool | None:
    """Print the preflight of a running deployment; None if there is none."""
    from bc_runtime.ros.operator_client import NotReachable, OperatorClient

    patience_s = LOOK_S if arguments.graph == 'auto' else WAIT_S
    with OperatorClient(arguments.namespace) as client:
        try:
            running = client.text_parameter('controller', 'robot', find_s=patience_s)
            mine = str(robot_file(arguments.robot))
            if running != mine and arguments.graph == 'auto':
                return None  # somebody else's
            ready, passed, failed = client.preflight()
        except NotReachable:
            if arguments.graph == 'yes':
                raise
            return None
    print('\nthey fit; preflight of the running deployment')
    for text in passed:
        print(f'  ok      {text}')
    for text in failed:
        print(f'  FAILED  {text}')
    print('ready; next: bc start' if ready else f'not ready: {len(failed)} to mend')
    return ready
