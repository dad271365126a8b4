# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc <verb>`: one entry point; each verb is a module with `add_parser` and `run`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib
import sys
from types import ModuleType
from typing import NoReturn

from bc_runtime import __version__
from bc_runtime.missing_package import describe_missing
from bc_runtime.spec.errors import BcError, did_you_mean

#: Verb -> module, in the order in which help lists them.
VERBS = {
    'demo': 'bc_runtime.cli.demo',
    'deploy': 'bc_runtime.cli.deploy',
    'start': 'bc_runtime.cli.operate',
    'stop': 'bc_runtime.cli.operate',
    'resume': 'bc_runtime.cli.operate',
    'reset': 'bc_runtime.cli.operate',
    'swap': 'bc_runtime.cli.swap',
    'check': 'bc_runtime.cli.check',
    'inspect': 'bc_runtime.cli.inspect',
    'wrap': 'bc_runtime.cli.wrap',
    'optimize': 'bc_runtime.cli.optimize',
    'train': 'bc_runtime.cli.train',
    'export': 'bc_runtime.cli.export',
    'trials': 'bc_runtime.cli.trials',
    'bench': 'bc_runtime.cli.bench',
    'recover': 'bc_runtime.cli.recover',
}

EXIT_INTERRUPTED = 130
EXIT_BAD_INPUT = 2


def _load(verb: str) -> ModuleType:
    return importlib.import_module(VERBS[verb])


def make_parser() -> argparse.ArgumentParser:
    """Return the parser with every verb."""
    parser = argparse.ArgumentParser(
        prog='bc',
        description='Deploy behaviour-cloned robot policies on ROS 2.',
        epilog='Documentation: docs/index.md',
    )
    parser.add_argument('--version', action='version', version=f'bc_runtime {__version__}')
    subparsers = parser.add_subparsers(dest='verb', metavar='<verb>', required=True)
    for module in dict.fromkeys(VERBS.values()):  # one module may have several verbs
        importlib.import_module(module).add_parser(subparsers)
    return parser


def _refuse(parser: argparse.ArgumentParser, verb: str, unknown: Sequence[str]) -> NoReturn:
    """End as argparse does, but with the verb's usage and the option that was probably meant."""
    verbs = next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    of_verb: argparse.ArgumentParser = verbs[verb]
    options = [text for action in of_verb._actions for text in action.option_strings]
    wrong = next((text for text in unknown if text.startswith('-')), '')
    hint = did_you_mean(wrong.partition('=')[0], options) if wrong else ''
    of_verb.error(f'unrecognized arguments: {" ".join(unknown)}.{hint}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 not achieved, 2 bad input."""
    parser = make_parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(parser, arguments.verb, unknown)
    try:
        return int(_load(arguments.verb).run(arguments))
    except BcError as error:
        print(f'error: {error}', file=sys.stderr)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:
        print(f'error: {describe_missing(f"bc {arguments.verb}", error)}', file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0


if __name__ == '__main__':
    sys.exit(main())
