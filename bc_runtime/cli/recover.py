# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc recover`: rebuild a bag whose recorder was killed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bc_runtime.recording.recover import recover_bag, recovered_path

EXIT_LOSSY = 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'recover',
        help='rebuild a bag whose recorder was killed',
        description='Copy every undamaged message of an MCAP bag into a new bag. The old '
        'one is only read. Exit code 1 if damaged parts had to be skipped.',
    )
    parser.add_argument('bag', type=Path, help='bag directory or .mcap file')
    parser.add_argument(
        '-o', '--output', type=Path, help='new bag directory (default: BAG_recovered)'
    )
    parser.add_argument('--json', action='store_true', help='print the result as JSON')
    parser.set_defaults(verb='recover')


def run(arguments: argparse.Namespace) -> int:
    """Recover the bag and say what was saved."""
    bag = arguments.bag.resolve()
    report = recover_bag(bag, arguments.output or recovered_path(bag))
    if arguments.json:
        print(
            json.dumps(
                {
                    'path': str(report.path),
                    'messages': report.messages,
                    'topics': report.topics,
                    'was_complete': report.was_complete,
                    'torn_bytes': report.torn_bytes,
                    'problems': list(report.problems),
                },
                indent=2,
            )
        )
    else:
        print(f'{report.messages} messages of {report.topics} topics are in {report.path}')
        if report.torn_bytes:
            print(f'the file broke off {report.torn_bytes} bytes after its last whole record')
        for problem in report.problems:
            print(f'skipped: {problem}')
    return EXIT_LOSSY if report.problems else 0
