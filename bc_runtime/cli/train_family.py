# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc train --family`: the families beside chunk."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bc_runtime.policy import load_policy
from bc_runtime.policy.model_path import find_model
from bc_runtime.resources import model_directories, robot_file
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.errors import ConfigError

_FOLDER = Path('out/train')


def run_family(args: argparse.Namespace, *, say: Callable[[str], None]) -> int:
    """Train, export and perhaps evaluate a policy of `args.family`."""
    if args.family == 'steering':
        return _run_steering(args, say)
    from bc_runtime.training.collection import PACES, demonstrations
    from bc_runtime.training.families.recipe import recipe_of
    from bc_runtime.training.families.run import train_and_export
    from bc_runtime.training.recipe import Recipe
    from bc_runtime.training.samples import load_samples

    robot = RobotConfig.from_file(robot_file('sim_arm'))
    encoder = find_model(args.encoder, model_dirs=model_directories())
    recipe = replace(recipe_of(args.family), seed=args.seed)
    if args.steps:
        recipe = replace(recipe, steps=args.steps)
    chosen = ' --two-graphs' if args.two_graphs else ''
    if args.sampling_steps:
        recipe = replace(recipe, sampling_steps=args.sampling_steps)
        chosen += f' --sampling-steps {args.sampling_steps}'
    rounds = [_round_file(args.cache, args.seed, number) for number in range(1, args.rounds + 1)]
    data = demonstrations(
        episodes=args.episodes,
        first_scene=Recipe().first_scene,
        robot=robot,
        folder=args.cache,
        say=say,
        pace=PACES[recipe.rate_hz],
    )
    out = args.out or _FOLDER / f'sim_arm_{args.family}.onnx'
    train_and_export(
        recipe,
        demonstrations=[data],
        corrections=[load_samples(path) for path in rounds],
        encoder=encoder,
        out=out,
        folder=args.cache,
        command=f'bc train --family {args.family} --seed {args.seed} --steps {recipe.steps} '
        f'--episodes {args.episodes} --rounds {args.rounds}{chosen}',
        two_graphs=args.two_graphs,
        checkpoints=args.cache if args.checkpoints else None,
        say=say,
    )
    if args.evaluate:
        from bc_runtime.cli.trials import report_trials

        report_trials(load_policy(out, threads=1), episodes=args.evaluate, say=say)
    return 0


def _round_file(cache: Path, seed: int, number: int) -> Path:
    from bc_runtime.training.sim_arm import NAME

    path = cache / f'{NAME}_{seed}_round_{number}.npz'
    if not path.is_file():
        raise ConfigError(
            f'expected the corrections of round {number} of the chunk policy: train it first '
            f'(bc train --family chunk --seed {seed} --cache {cache}), or say --rounds '
            f'{number - 1} to do without',
            source=str(path),
        )
    return path


def _run_steering(args: argparse.Namespace, say: Callable[[str], None]) -> int:
    from bc_runtime.training.steering.contract import NAME
    from bc_runtime.training.steering.run import SteeringRecipe, train_steering

    recipe = SteeringRecipe(seed=args.seed)
    if args.steps:
        recipe = replace(recipe, steps=args.steps)
    out = args.out or _FOLDER / f'{NAME}.onnx'
    command = f'bc train --family steering --seed {args.seed} --steps {recipe.steps}'
    train_steering(recipe, out=out, command=command, say=say)
    if args.evaluate:
        from bc_runtime.cli.trials import report_trials

        report_trials(load_policy(out, threads=1), episodes=args.evaluate, say=say)
    return 0
