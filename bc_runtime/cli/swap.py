# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc swap`: exchange the policy of a running deployment."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from bc_runtime.spec.errors import BcError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'swap',
        help='exchange the policy while it runs',
        description='Load another policy beside the one in charge and let it take over between '
        'two inferences. Exit code 1 when it is not taken; then the old one goes on.',
    )
    parser.add_argument('model', nargs='?', default='', help='policy file, or name of a model')
    parser.add_argument(
        '--back', action='store_true', help='go back to the policy before the present one'
    )
    parser.add_argument('--namespace', default='', help='namespace of the deployment')
    parser.add_argument(
        '--timeout', type=float, default=120.0, help='longest time for loading [s]'
    )
    parser.set_defaults(verb='swap')


def run(arguments: argparse.Namespace) -> int:
    """Swap, and say what became of it."""
    from bc_runtime.ros.operator_client import OperatorClient

    if bool(arguments.model) == arguments.back:
        raise BcError('expected a model, or --back for the policy before; got neither or both')
    with OperatorClient(arguments.namespace) as client:
        if arguments.back:
            taken, text = client.trigger('inference/rollback')
        else:
            path = Path(arguments.model)
            # The node may have another working directory.
            model = str(path.absolute()) if path.is_file() else arguments.model
            taken, text = client.swap(model, timeout_s=arguments.timeout, tell=print)
    print(text, file=sys.stdout if taken else sys.stderr)
    return 0 if taken else 1
