# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc train`: demonstrations of a simulated robot -> a verified policy file."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from bc_runtime.resources import robot_file
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.errors import BcError, ConfigError

#: Packages of requirements/train.txt by their import names.
_NEEDED = ('torch', 'onnx', 'onnxscript', 'onnxruntime', 'mujoco', 'cv2')
POLICIES = ('sim_arm_act',)
#: Policy families; each makes sim_arm_<family>, steering makes lane_car_steering.
FAMILIES = ('act', 'chunk', 'mlp', 'diffusion', 'flow', 'gmm', 'rt1', 'steering')
_CHUNK_STEPS = 5500


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'train',
        help='train a reference policy',
        description='Collect demonstrations, train a policy on one core and export it as a '
        'verified ONNX file. The same options give the same policy on the same machine.',
    )
    parser.add_argument(
        'policy', nargs='?', choices=POLICIES, help='what to train; or name a --family'
    )
    parser.add_argument(
        '--family',
        choices=FAMILIES,
        default='act',
        help='what kind of policy to train (default: act). All but chunk and steering learn on '
        'the image encoders of a chunk policy',
    )
    parser.add_argument('--seed', type=int, default=1, help='of the training (default: 1)')
    parser.add_argument(
        '--steps',
        type=int,
        default=0,
        help=f"updates; 0: {_CHUNK_STEPS} on the demonstrations for chunk, else the family's "
        'recipe',
    )
    parser.add_argument(
        '--encoder',
        default='sim_arm_act',
        help='policy whose image encoders are taken: a file, or a shipped model of the arm',
    )
    parser.add_argument(
        '--episodes', type=int, default=400, help='successful demonstrations (default: 400)'
    )
    parser.add_argument(
        '--rounds',
        type=int,
        default=0,
        help='rounds of DAgger: the chunk policy acts, the expert corrects (default: 0); other '
        'families read them from the cache',
    )
    parser.add_argument(
        '--round-trials', type=int, default=150, help='trials in a round (default: 150)'
    )
    parser.add_argument(
        '--round-steps', type=int, default=4000, help='updates after each round (default: 4000)'
    )
    parser.add_argument(
        '--out', type=Path, help='the policy file; left out: out/train/<its name>.onnx'
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
    parser.add_argument(
        '--checkpoints',
        action='store_true',
        help='families of the arm beside chunk: leave a complete policy file in the cache at '
        'every tenth of the training',
    )
    parser.add_argument(
        '--two-graphs',
        action='store_true',
        help='diffusion and flow: write the step network into a second file, <name>.step.onnx',
    )
    parser.add_argument(
        '--sampling-steps',
        type=int,
        default=0,
        metavar='N',
        help="diffusion and flow: network calls of one sampling; 0: the family's recipe",
    )
    parser.set_defaults(verb='train')


def run(args: argparse.Namespace) -> int:
    """Train, export and perhaps evaluate."""
    require_training_packages()
    if min(args.evaluate, args.steps, args.rounds) < 0:
        raise ConfigError('--evaluate, --steps and --rounds must be zero or more')
    if args.sampling_steps < 0:
        raise ConfigError('--sampling-steps must be zero or more')
    if (args.two_graphs or args.sampling_steps) and args.family not in ('diffusion', 'flow'):
        raise ConfigError(
            '--two-graphs and --sampling-steps are for --family diffusion and flow, got '
            f'--family {args.family}'
        )
    if args.policy and args.family != 'act':
        raise ConfigError(
            f'{args.policy} is of the family act, got --family {args.family}; '
            'leave out one of the two'
        )
    if args.family == 'act' and args.rounds:
        raise ConfigError(
            'corrections are chunks at 15 Hz, act learns chunks at 50 Hz: leave out --rounds'
        )
    if args.family != 'chunk':
        from bc_runtime.cli.train_family import run_family

        return run_family(args, say=_say)
    return _run_chunk(args)


def _run_chunk(args: argparse.Namespace) -> int:
    from bc_runtime.training.recipe import Recipe
    from bc_runtime.training.run import train_policy

    out = args.out or Path('out/train/sim_arm_chunk.onnx')
    robot = RobotConfig.from_file(robot_file('sim_arm'))
    recipe = Recipe(
        seed=args.seed,
        steps=args.steps or _CHUNK_STEPS,
        episodes=args.episodes,
        rounds=args.rounds,
        round_trials=args.round_trials,
        round_steps=args.round_steps,
    )
    train_policy(recipe, robot=robot, out=out, folder=args.cache, say=_say)
    if args.evaluate:
        from bc_runtime.cli.trials import report_trials
        from bc_runtime.policy import load_policy

        report_trials(load_policy(out, threads=1), episodes=args.evaluate, say=_say)
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
