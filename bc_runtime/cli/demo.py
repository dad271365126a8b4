# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc demo`: the whole graph on the simulated robot, with a summary, bags, a report and a GIF."""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from bc_runtime.cli.deploy import prepare
from bc_runtime.cli.live_line import LiveLine
from bc_runtime.cli.memory import MemoryWatch
from bc_runtime.cli.processes import ProcessGroup
from bc_runtime.deployment import Deployment
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.resources import model_directories, share_directory
from bc_runtime.spec.errors import BcError

if TYPE_CHECKING:
    from bc_runtime.ros.demo_client import DemoClient, Trial

#: Seeds from here on were never seen in training.
FIRST_UNSEEN_SEED = 10_000
EXIT_NOT_ACHIEVED = 1
EXIT_INTERRUPTED = 130
#: Simulated robots (name in the robot YAML): the node that plays it, and the time for a trial [s].
#: A round of the lane car takes the expert 24 s. Any other robot is played by the arm.
ARM = ('bc_runtime.ros.sim_node', 25.0)
SIMULATIONS = {'sim_arm': ARM, 'lane_car': ('bc_runtime.ros.car_node', 60.0)}
SIMULATION_NAME = ('--ros-args', '-r', '__node:=sim_robot')
#: Policies of these families are executed under temporal ensembling.
ENSEMBLED_FAMILIES = ('act', 'chunk')
#: Share of trials that must succeed for exit code 0.
EXPECTED_SUCCESS = 0.5


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        'demo',
        help='run the shipped policy on the simulated robot',
        description='Run a cloned policy on the simulated robot through the real ROS 2 graph: '
        'trials on seeded scenes, one bag each, then a summary, a report and a GIF.',
    )
    parser.add_argument('--model', default='sim_arm_act', help='policy file or shipped model')
    parser.add_argument('--robot', default='sim_arm', help='robot YAML or shipped robot')
    parser.add_argument('--episodes', type=int, default=3, help='number of trials (default: 3)')
    parser.add_argument(
        '--seed',
        type=int,
        default=FIRST_UNSEEN_SEED,
        help=f'seed of the first scene; the others follow (default: {FIRST_UNSEEN_SEED}, '
        'not used in training)',
    )
    parser.add_argument('--instruction', default='', help='default: the scene chooses a cube')
    parser.add_argument(
        '--timeout',
        type=float,
        help='seconds per trial; default: '
        + ', '.join(f'{limit_s:g} ({robot})' for robot, (_, limit_s) in SIMULATIONS.items()),
    )
    parser.add_argument('--out', type=Path, default=Path('out/demo'), help='folder for results')
    parser.add_argument(
        '--record',
        default='compressed',
        choices=('compressed', 'raw'),
        help='camera pictures in the bags: JPEG, or exactly what the policy saw (55 MB/s)',
    )
    parser.add_argument(
        '--params-file',
        default='',
        help='node parameters (YAML); default: config/deploy.yaml, temporal ensembling, for '
        'policies of the families act and chunk, else config/demo.yaml, receding horizon',
    )
    parser.add_argument(
        '--takeover',
        action='store_true',
        help='in every trial a scripted human takes over, moves the robot and hands it back',
    )
    parser.add_argument('--json', action='store_true', help='print the summary as JSON')
    parser.add_argument('--no-report', action='store_true', help='skip report.html and the GIF')
    parser.add_argument(
        '--headless', action='store_true', help='no live line (also when not on a terminal)'
    )
    parser.set_defaults(verb='demo')


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; exit code 0 if most trials succeeded, 1 if not, 2 for bad input."""
    if arguments.episodes < 1:
        raise BcError(f'--episodes: expected at least 1, got {arguments.episodes}')
    for package in ('mujoco', 'PIL'):  # of the robot and of the report, which come last
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f'No module named {package!r}', name=package)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    out: Path = arguments.out
    bags = out / 'bags'
    deployment = prepare(
        {
            'model': arguments.model,
            'robot': arguments.robot,
            'params_file': arguments.params_file or str(_params_file(arguments.model)),
            'record': arguments.record,
            'record_directory': str(bags.resolve()),
        }
    )
    simulation, timeout_s = SIMULATIONS.get(deployment.robot.name, ARM)
    if arguments.timeout is None:
        arguments.timeout = timeout_s
    if arguments.takeover:
        from bc_runtime.ros.scripted_human import check_human

        check_human(deployment.robot)
    _empty(out)
    group = ProcessGroup(log_directory=out / 'logs')
    trials: list[Trial] = []
    memory = MemoryWatch()
    started = time.monotonic()
    try:
        group.start_command('sim_robot', [sys.executable, '-m', simulation, *SIMULATION_NAME])
        group.start(deployment.nodes)
        interrupted = _conduct(arguments, deployment, group, stop, trials, memory)
    finally:
        group.stop()
    if interrupted:
        print(
            f'interrupted; the robot was stopped, {len(trials)} trials are in {bags}',
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    return _conclude(arguments, trials, memory, time.monotonic() - started)


def _params_file(model: str) -> Path:
    """Return how a policy is executed: ACT's chunks agree where they overlap, others' may not."""
    family = spec_of(model, model_directories()).family
    name = 'deploy.yaml' if family in ENSEMBLED_FAMILIES else 'demo.yaml'
    return share_directory() / 'config' / name


def _conduct(
    arguments: argparse.Namespace,
    deployment: Deployment,
    group: ProcessGroup,
    stop: threading.Event,
    trials: list[Trial],
    memory: MemoryWatch,
) -> bool:
    """Run the trials; return whether the user interrupted."""
    from bc_runtime.ros.demo_client import DemoClient, DeploymentError, Interrupted

    def alive() -> None:
        ended = group.ended()
        if ended is not None:
            name, code = ended
            raise DeploymentError(
                f'the node {name} has ended with code {code}; its last words:\n'
                f'{group.log_tail(name)}'
            )

    live = LiveLine(enabled=not arguments.headless and not arguments.json)
    try:
        client = DemoClient(
            stop=stop, alive=alive, takeover=deployment.robot if arguments.takeover else None
        )
    except Interrupted:
        return True
    try:
        live.note('starting: simulated robot, observation, inference, controller, recorder')
        client.wait_until_ready(timeout_s=30.0)
        live.note(f'policy {client.policy_title()}')
        for index in range(arguments.episodes):
            seed = arguments.seed + index
            title = f'{index + 1}/{arguments.episodes}'

            def each(title: str = title) -> None:
                memory.sample(group.pids())
                live.update(_progress(client, title))

            trial = client.run_trial(
                seed=seed,
                instruction=arguments.instruction,
                episode_id=f'episode_{index:03d}_seed_{seed}',
                timeout_s=arguments.timeout,
                each=each,
            )
            trials.append(trial)
            live.result(
                f'{title}  {"success" if trial.success else "FAILED "}  '
                f'{trial.duration_s:5.1f} s  {trial.instruction}'
                + ('' if trial.success else f'  ({trial.termination})')
            )
    except Interrupted:
        return True
    finally:
        live.close()
        client.close()
    return False


def _progress(client: DemoClient, title: str) -> str:
    status = client.status
    if status is None:
        return title
    rate = 1.0 / status.period if status.period > 0.0 else 0.0
    return (
        f'{title}  {status.state:<8} {rate:5.1f} Hz  missed {status.missed_ticks}  '
        f'latency {client.latency_s * 1e3:5.1f} ms  inference {client.inference_s * 1e3:5.1f} ms  '
        f'chunks {status.chunks_accepted}  {client.task.instruction if client.task else ""}'
    )


def _conclude(
    arguments: argparse.Namespace, trials: list[Trial], memory: MemoryWatch, wall_s: float
) -> int:
    from bc_runtime.evaluation import summarize_demo, write_gif, write_report

    out: Path = arguments.out
    summary = summarize_demo(trials, memory_bytes=memory.peak_bytes, wall_s=wall_s)
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n', encoding='utf-8')
    if not arguments.no_report:
        write_report(out / 'report.html', summary, [Path(trial.bag) for trial in trials])
        write_gif(out / 'demo.gif', Path(trials[0].bag))
    if arguments.json:
        print(json.dumps(summary, indent=2))
    else:
        _print_summary(summary, out)
    rate = sum(trial.success for trial in trials) / len(trials)
    return 0 if rate >= EXPECTED_SUCCESS else EXIT_NOT_ACHIEVED


def _print_summary(summary: dict[str, object], out: Path) -> None:
    for key, value in summary.items():
        if not isinstance(value, (dict, list)):
            print(f'{key:>28}  {value}')
        elif isinstance(value, dict):
            print(f'{key:>28}  ' + '  '.join(f'{k} {v}' for k, v in value.items()))
    print(f'\nreport: {out / "report.html"}   bags: {out / "bags"}   GIF: {out / "demo.gif"}')


def _empty(out: Path) -> None:
    """Remove the results of an earlier demo, and nothing else."""
    for name in ('bags', 'logs'):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ('summary.json', 'report.html', 'demo.gif'):
        (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
