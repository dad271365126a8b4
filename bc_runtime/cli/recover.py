# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc recover`: make a readable bag of one that was cut off."""

from __future__ import annotations

import argparse
from pathlib import Path

from bc_runtime.recording.recover import recover_bag


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'recover',
        help='repair a bag whose recorder was killed',
        description='Copy everything that can be read from a damaged or unfinished bag into a new '
        'one beside it; the original is not touched.',
    )
    parser.add_argument('bag', type=Path, help='directory of the bag')
    parser.add_argument('-o', '--out', type=Path, default=None, help='directory of the new bag')
    parser.set_defaults(verb='recover')


def run(arguments: argparse.Namespace) -> int:
    """Recover one bag and print what came of it."""
    report = recover_bag(arguments.bag, arguments.out)
    print(f'{report.path}: {report.messages} messages on {report.topics} topics')
    if report.torn_bytes:
        print(f'{report.torn_bytes} bytes at the end belong to no whole record')
    for problem in report.problems:
        print(problem)
    return 0
