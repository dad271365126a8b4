# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc trials`: how often a reference policy does its task, in simulated time and without ROS."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bc_runtime.evaluation.smoothness import mean_squared_jerk
from bc_runtime.evaluation.statistics import wilson_interval
from bc_runtime.policy import Policy, load_policy
from bc_runtime.policy.model_path import find_model
from bc_runtime.resources import model_directories, robot_file
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.errors import ConfigError

if TYPE_CHECKING:
    from bc_runtime.training.steering.trials import Round
    from bc_runtime.training.trials import Outcome

#: Scenes and tracks from here on are never demonstrated.
FIRST_UNSEEN = 10_000
# Of the robot's driver, whose ticks a trial holds.
_TICKS_PER_S = 100


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'trials',
        help='count how often reference policies do their task, without ROS',
        description='Run policies of the simulated arm or of the lane car on scenes that training '
        "never saw, in simulated time, with the stack's own timeline and limiter, 50 to 60 ms "
        'from observation to command. Prints the successes with their 95 % interval (Wilson) and '
        'the mean squared jerk of the arm.',
    )
    parser.add_argument('model', nargs='+', help='policy file, or the name of a shipped model')
    parser.add_argument('--episodes', type=int, default=100, help='scenes (default: 100)')
    parser.add_argument(
        '--first',
        type=int,
        default=FIRST_UNSEEN,
        help=f'seed of the first scene (default: {FIRST_UNSEEN})',
    )
    parser.add_argument(
        '--conditions',
        nargs='+',
        default=[],
        help="names of conditions; left out: those that fit the policy's family. "
        'receding_6, receding_6_no_delay, receding_20, newest, newest_30hz, ensemble, '
        'ensemble_30hz, ensemble_50hz, ensemble_80ms_skewed, ensemble_150ms',
    )
    parser.set_defaults(verb='trials')


def run(args: argparse.Namespace) -> int:
    """Try every model and print one line for each set of conditions."""
    if args.episodes < 1 or args.first < 0:
        raise ConfigError('expected --episodes of at least 1 and --first of at least 0')
    for model in args.model:
        policy = load_policy(find_model(model, model_dirs=model_directories()), threads=1)
        report_trials(
            policy,
            episodes=args.episodes,
            first=args.first,
            conditions=args.conditions,
            say=lambda line: print(line, flush=True),
        )
    return 0


def report_trials(
    policy: Policy,
    *,
    episodes: int,
    first: int = FIRST_UNSEEN,
    conditions: Sequence[str] = (),
    say: Callable[[str], None],
) -> None:
    """Try a policy and say how it went.

    Raises:
        BcError: There are no trials for its family, or no such conditions.
    """
    scenes = range(first, first + episodes)
    name = policy.spec.name
    if policy.spec.family == 'steering':
        from bc_runtime.training.steering.trials import drive_round

        robot = RobotConfig.from_file(robot_file('lane_car'))
        rounds = [drive_round(policy, seed, robot=robot) for seed in scenes]
        say(f'{name}: {summary_of_rounds(rounds)}')
        return
    from bc_runtime.training.trials import conditions_for, run_trials

    robot = RobotConfig.from_file(robot_file('sim_arm'))
    for each in conditions or conditions_for(policy):
        outcome = run_trials(policy, robot=robot, conditions=each, scenes=scenes)
        say(f'{name}: {summary_of_trials(outcome)}')


def summary_of_trials(outcome: Outcome) -> str:
    """Return a line with the successes, their interval and the failed scenes."""
    trials = outcome.trials
    durations = sorted(trial.duration_s for trial in trials if trial.success)
    median = f'{durations[len(durations) // 2]:.1f} s' if durations else '-'
    failed = ' '.join(str(trial.seed) for trial in trials if not trial.success)
    return (
        f'{outcome.conditions}: {_share(outcome.successes, len(trials))}, '
        f'{outcome.wrong_cubes} wrong cube, median {median}, mean squared jerk '
        f'{_jerk([trial.command for trial in trials])} commanded, '
        f'{_jerk([trial.measured for trial in trials])} measured'
        + (f'; failed scenes: {failed}' if failed else '')
    )


def summary_of_rounds(rounds: Sequence[Round]) -> str:
    """Return a line with the rounds inside the lane, their interval and the offsets."""
    done = sum(each.success for each in rounds)
    offsets = np.array([each.worst_offset_m for each in rounds])
    failed = ' '.join(str(each.seed) for each in rounds if not each.success)
    return (
        f'{_share(done, len(rounds))} rounds inside the lane, largest offset of a round '
        f'{np.median(offsets):.2f} m median, {offsets.max():.2f} m worst'
        + (f'; failed tracks: {failed}' if failed else '')
    )


def _jerk(motions: Sequence[NDArray[np.float64]]) -> str:
    """Return the mean squared jerk of the arm's joints over motions (ticks, 7) at 100 Hz."""
    found = [mean_squared_jerk(np.arange(len(m)) / _TICKS_PER_S, m[:, :-1]) for m in motions]
    known = [(len(m), jerk) for m, jerk in zip(motions, found, strict=True) if jerk is not None]
    if not known:
        return '-'
    ticks, jerks = zip(*known, strict=True)
    return f'{np.average(jerks, weights=ticks):.0f} rad²/s⁶'


def _share(done: int, count: int) -> str:
    interval = wilson_interval(done, count)
    if interval is None:
        return f'{done}/{count}'
    return f'{done}/{count} ({interval.low:.0%} to {interval.high:.0%})'
