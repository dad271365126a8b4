# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc train`: demonstrations of the simulated arm -> a verified policy file."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from bc_runtime.spec.errors import BcError, ConfigError

#: Packages of requirements/train.txt by their import names.
_NEEDED = ('torch', 'onnx', 'onnxscript', 'onnxruntime', 'mujoco', 'cv2')
POLICIES = ('sim_arm_act',)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'train',
        help='train a reference policy',
        description='Collect demonstrations, train a policy on one core and export it as a '
        'verified ONNX file. The same options give the same policy on the same machine.',
    )
    parser.add_argument('policy', choices=POLICIES, help='what to train')
    parser.add_argument('--seed', type=int, default=1, help='of the training (default: 1)')
    parser.add_argument(
        '--minutes',
        type=float,
        default=8.0,
        help='nominal minutes: a fixed number of updates each, however fast the machine is '
        '(default: 8)',
    )
    parser.add_argument('--steps', type=int, default=0, help='updates, instead of --minutes')
    parser.add_argument(
        '--cycles', type=int, default=1, help='trainings one after the other (default: 1)'
    )
    parser.add_argument(
        '--episodes', type=int, default=398, help='successful demonstrations (default: 398)'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('out/train/sim_arm_act.onnx'), help='the policy file'
    )
    parser.add_argument(
        '--cache',
        type=Path,
        default=Path('out/train'),
        help='folder for demonstrations and the checkpoint (default: out/train)',
    )
    parser.add_argument(
        '--evaluate',
        type=int,
        default=0,
        metavar='N',
        help='try the policy on N unseen scenes afterwards, without ROS',
    )
    parser.set_defaults(verb='train')


def run(args: argparse.Namespace) -> int:
    """Train, export and perhaps evaluate."""
    require_training_packages()
    from bc_runtime.training.recipe import Recipe, steps_of
    from bc_runtime.training.run import train_policy

    if args.evaluate < 0 or args.steps < 0:
        raise ConfigError('--steps and --evaluate must be zero or more')
    recipe = Recipe(
        seed=args.seed,
        episodes=args.episodes,
        steps=args.steps or steps_of(args.minutes),
        cycles=args.cycles,
    )
    length = f'--steps {args.steps}' if args.steps else f'--minutes {args.minutes:g}'
    train_policy(
        recipe,
        out=args.out,
        folder=args.cache,
        command=f'bc train {args.policy} --seed {args.seed} {length} --episodes {args.episodes}',
        say=_say,
    )
    if args.evaluate:
        from bc_runtime.policy import load_policy
        from bc_runtime.resources import robot_file
        from bc_runtime.spec import RobotConfig
        from bc_runtime.training.evaluate import CONDITIONS, evaluate

        evaluate(
            load_policy(args.out, threads=1),
            robot=RobotConfig.from_file(robot_file('sim_arm')),
            names=tuple(CONDITIONS),
            episodes=args.evaluate,
            say=_say,
        )
    return 0


def require_training_packages() -> None:
    """Raise one clear error if the packages of training are not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise BcError(
            f'training and export need packages that a robot does not: {", ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} missing. '
            'Install them: pip install -r requirements/train.txt'
        )


def _say(line: str) -> None:
    print(line, flush=True)
