# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc optimize`: faster and smaller forms of a policy file, with what they cost."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING

from bc_runtime.policy.model_path import find_model
from bc_runtime.resources import model_directories
from bc_runtime.spec.errors import ConfigError

if TYPE_CHECKING:
    from bc_runtime.export.optimize import Variant

FORMS = ('graph', 'fp16', 'int8')


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'optimize',
        help='make faster or smaller forms of a policy file, and show what they cost',
        description='Make forms of an ONNX policy and print speed against error: its graph '
        'rewritten once (graph), half precision for GPUs (fp16), 8-bit matrix products (int8). '
        'With --out, keep one form.',
    )
    parser.add_argument('model', help='policy file, or the name of a shipped model')
    parser.add_argument(
        '--form', choices=FORMS, action='append', help='may be repeated (default: all)'
    )
    parser.add_argument(
        '-o', '--out', type=Path, help='keep the form here; needs exactly one --form'
    )
    parser.add_argument('--force', action='store_true', help='replace an existing file')
    parser.add_argument(
        '--max-error',
        type=float,
        help='keep it only if no action differs by more, in action units',
    )
    parser.add_argument('--runs', type=int, default=50, help='timed inferences (default: 50)')
    parser.add_argument('--threads', type=int, default=1, help='threads of one inference')
    parser.add_argument(
        '--evaluate',
        type=int,
        default=0,
        metavar='N',
        help='policies of the simulated arm: also count successes on N scenes, without ROS',
    )
    parser.set_defaults(verb='optimize')


def run(args: argparse.Namespace) -> int:
    """Make the forms, print the table, keep one."""
    try:
        from bc_runtime.export.optimize import compare, copy_result
    except ImportError as error:
        raise ConfigError(
            f'bc optimize needs packages that a robot does not: {error}. Install them: '
            'pip install onnx==1.23.2 (requirements/train.txt)'
        ) from None
    forms = tuple(dict.fromkeys(args.form or FORMS))
    if args.out is not None and len(forms) != 1:
        raise ConfigError('--out keeps one form: choose it with --form graph, fp16 or int8')
    source = find_model(args.model, model_dirs=model_directories())
    with tempfile.TemporaryDirectory(prefix='bc-optimize-') as name:
        rows = compare(
            source, forms, Path(name), runs=max(1, args.runs), threads=max(1, args.threads)
        )
        scores = _evaluate(rows, args.evaluate) if args.evaluate > 0 else {}
        print('\n'.join(render(rows, scores)))
        if args.out is None:
            return 0
        chosen = rows[-1]
        if args.max_error is not None and not chosen.max_abs_error <= args.max_error:
            print(
                f'not kept: an action differs by {chosen.max_abs_error:.2g}, '
                f'at most {args.max_error:g} was allowed'
            )
            return 1
        copy_result(chosen, args.out, overwrite=args.force)
        print(f'{args.out}: {chosen.form}')
    return 0


def render(rows: Sequence[Variant], scores: dict[str, str]) -> Iterator[str]:
    """Yield the lines of the table."""
    base = rows[0]
    head = f'{"form":<10} {"MB":>8} {"ms":>9} {"speed":>7} {"max error":>11} {"rms/spread":>11}'
    yield head + ('  successes' if scores else '')
    for row in rows:
        if row.path is None:
            yield f'{row.form:<10} not possible: {row.problem}'
            continue
        yield (
            f'{row.form:<10} {row.size_bytes / 1e6:8.2f} {row.p50_s * 1e3:9.3f} '
            f'{base.p50_s / row.p50_s:6.2f}x {row.max_abs_error:11.2e} {row.rms_share:11.2e}'
            + (f'  {scores.get(row.form, "")}' if scores else '')
        )


def _evaluate(rows: Sequence[Variant], episodes: int) -> dict[str, str]:
    from bc_runtime.policy import load_policy
    from bc_runtime.resources import robot_file
    from bc_runtime.spec import RobotConfig
    from bc_runtime.training.trials import FIRST_UNSEEN, conditions_for, run_trials

    robot = RobotConfig.from_file(robot_file('sim_arm'))
    scores = {}
    for row in rows:
        if row.path is not None:
            policy = load_policy(row.path, threads=1)
            outcome = run_trials(
                policy,
                robot=robot,
                conditions=conditions_for(policy)[0],
                scenes=range(FIRST_UNSEEN, FIRST_UNSEEN + episodes),
            )
            scores[row.form] = f'{outcome.successes}/{len(outcome.trials)}'
    return scores
