# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc start stop resume reset`: the controller's services, where there is no `ros2` command."""

from __future__ import annotations

import argparse
import sys

#: Verb -> what it does, for the help.
_VERBS = {
    'start': 'let the policy move the robot: READY, then ALIGN, then AUTO',
    'stop': 'bring the robot to rest and back to READY',
    'resume': 'go on after HELD or after a takeover, with a new plan',
    'reset': 'leave FAULT or ESTOP, once the cause is gone',
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the four verbs."""
    for verb, text in _VERBS.items():
        parser = subparsers.add_parser(
            verb,
            help=text,
            description=f'Ask the controller of a running deployment to {text}. Exit code 1 when '
            'it refuses.',
        )
        parser.add_argument('--namespace', default='', help='namespace of the deployment')
        parser.set_defaults(verb=verb)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    from bc_runtime.ros.operator_client import OperatorClient

    with OperatorClient(arguments.namespace) as client:
        accepted, text = client.trigger(f'controller/{arguments.verb}')
    print(text, file=sys.stdout if accepted else sys.stderr)
    return 0 if accepted else 1
