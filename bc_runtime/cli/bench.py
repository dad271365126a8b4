# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc bench claims`: what the literature of behavioural cloning claims, tried out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bc_runtime.cli.train import require_training_packages
from bc_runtime.evaluation.claims_report import claim_chart, count_table, value_table
from bc_runtime.policy import load_policy
from bc_runtime.policy.model_path import find_model
from bc_runtime.resources import model_directories, robot_file
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.errors import ConfigError

if TYPE_CHECKING:
    from bc_runtime.training.claims.result import Claim

PLANAR = 'planar'
DELAY = 'delay'
_UPDATES = 1500


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'bench',
        help='try out what the literature claims',
        description='Reproduce claims about behavioural cloning in small, seeded, without ROS: '
        'chunks against single steps, one action or one of several, execution strategies under '
        'inference delay. Writes a table (Markdown), numbers (JSON) and a picture (SVG) for each.',
    )
    parser.add_argument('what', choices=('claims',), help='what to try out')
    parser.add_argument(
        '--only', choices=(PLANAR, DELAY), default='', help='one half; left out: both'
    )
    parser.add_argument(
        '--model',
        nargs='+',
        default=['sim_arm_act'],
        help='chunking policies that the strategies are tried with (default: sim_arm_act)',
    )
    parser.add_argument(
        '--trials', type=int, default=50, help='scenes per strategy and delay (default: 50)'
    )
    parser.add_argument(
        '--policies', type=int, default=5, help='trainings per planar setting (default: 5)'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('out/claims'), help='folder (default: out/claims)'
    )
    parser.set_defaults(verb='bench')


def run(args: argparse.Namespace) -> int:
    """Try the claims and write what was seen."""
    if min(args.trials, args.policies) < 1:
        raise ConfigError('expected --trials and --policies of at least 1')
    if args.only != DELAY:
        require_training_packages()
        from bc_runtime.training.claims.planar import error_growth, two_ways

        for claim in error_growth(policies=args.policies, updates=_UPDATES):
            write_claim(claim, args.out)
        write_claim(two_ways(policies=args.policies, updates=_UPDATES), args.out)
    if args.only != PLANAR:
        from bc_runtime.training.claims.delay import strategies_under_delay

        robot = RobotConfig.from_file(robot_file('sim_arm'))
        for model in args.model:
            policy = load_policy(find_model(model, model_dirs=model_directories()), threads=1)
            claim = strategies_under_delay(policy, robot=robot, trials=args.trials, say=_say)
            write_claim(claim, args.out)
    return 0


def write_claim(claim: Claim, folder: Path) -> None:
    """Write a claim's table, numbers and picture, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {n: [(c.successes, c.trials) for c in row] for n, row in claim.counts.items()}
    shares = {n: [done / count for done, count in row] for n, row in counts.items()}
    table = (
        count_table(claim.variable, claim.columns, counts)
        if counts
        else value_table(claim.variable, claim.columns, claim.values)
    )
    _say(f'{claim.title}\n{claim.setting}\n\n{table}')
    text = f'{claim.claim}\n\n{claim.setting}\n\n{table}'
    (folder / f'{claim.key}.md').write_text(text, encoding='utf-8')
    (folder / f'{claim.key}.json').write_text(
        json.dumps(
            {
                'title': claim.title,
                'variable': claim.variable,
                'columns': claim.columns,
                'counts': counts,
                'values': dict(claim.values),
                'unit': claim.unit,
            },
            indent=1,
        ),
        encoding='utf-8',
    )
    if len(claim.columns) > 1:
        picture = claim_chart(
            shares or claim.values,
            columns=claim.columns,
            title=claim.title,
            variable=claim.variable,
            highest=1.0 if shares else None,
        )
        (folder / f'{claim.key}.svg').write_text(picture + '\n', encoding='utf-8')


def _say(line: str) -> None:
    print(line, flush=True)
