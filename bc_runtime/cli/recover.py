# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc recover`: rebuild a damaged or unfinished bag."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import json
from pathlib import Path
import sys

from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.recover import RecoveryReport, recover_bag, recovered_path

EXIT_ALL = 0
EXIT_NOTHING = 1
EXIT_PART = 3  # 2 is bad input, as for every verb


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'recover',
        help='rebuild a damaged or unfinished bag',
        description='Copy every message that can be read, of an MCAP or SQLite bag, into a new '
        'MCAP bag, read that one to its end, and say what was lost of each topic. The old bag is '
        'only read. Exit code: 0 all was kept, 3 part of it, 1 nothing, 2 there is no such bag.',
    )
    parser.add_argument('bag', type=Path, help='bag directory, or one of its files')
    parser.add_argument(
        '-o', '--output', type=Path, help='new bag directory (default: BAG_recovered)'
    )
    parser.add_argument(
        '--keep-suspect',
        action='store_true',
        help='keep the messages of chunks with a wrong check sum: one of them is damaged',
    )
    parser.add_argument('--json', action='store_true', help='print the result as JSON')
    parser.set_defaults(verb='recover')


def run(arguments: argparse.Namespace) -> int:
    """Recover the bag and say what was saved."""
    bag = arguments.bag.resolve()
    try:
        report = recover_bag(
            bag, arguments.output or recovered_path(bag), keep_suspect=arguments.keep_suspect
        )
    except BagDamaged as error:
        print(f'error: {error}', file=sys.stderr)
        return EXIT_NOTHING
    if arguments.json:
        print(json.dumps(_as_json(report), indent=2))
    else:
        print('\n'.join(_as_text(report)))
    if report.whole:
        return EXIT_ALL
    return EXIT_PART if report.messages else EXIT_NOTHING


def _as_json(report: RecoveryReport) -> dict[str, object]:
    return {
        'path': str(report.path),
        'messages': report.messages,
        'topics': report.topics,
        'lost': report.lost,
        'uncounted': report.uncounted,
        'suspect': report.suspect,
        'was_complete': report.was_complete,
        'torn_bytes': report.torn_bytes,
        'problems': list(report.problems),
        'notes': list(report.notes),
        'by_topic': {name: asdict(topic) for name, topic in report.by_topic.items()},
    }


def _as_text(report: RecoveryReport) -> list[str]:
    before = report.messages + report.lost
    lines = [
        f'{report.messages} of {before} messages of {report.topics} topics are in {report.path}'
    ]
    if not report.messages and not report.whole:
        lines = [f'nothing could be saved; {report.path} was not written']
    width = max((len(name) for name in report.by_topic), default=0)
    lines += (
        f'  {name:<{width}}  {topic.before} before, {topic.kept} kept, {topic.lost} lost'
        for name, topic in sorted(report.by_topic.items())
    )
    if report.torn_bytes:
        lines.append(f'the file broke off {report.torn_bytes} bytes after its last whole record')
    lines += (f'lost: {problem}' for problem in report.problems)
    if report.uncounted:
        lines.append('how many messages stood in damaged places is not known for all of them')
    lines += (f'note: {note}' for note in report.notes)
    return lines
