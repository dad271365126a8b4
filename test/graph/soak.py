# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Soak: random faults of the matrix, one after the other, while a policy moves the robot.

`make soak` (10 minutes), `make soak SOAK=1h`, `make soak SOAK=90s ARGS='--seed 7'`, `--rate 200`,
`--robot velocity` for an arm whose driver takes velocities. Real nodes,
the injections of `harness.injections` in a random order that the seed decides, and after each one
the same questions: did the robot react as the row demands, in time, did anything on the wire break
a limit, did anything move that nobody asked for? The answers go to out/soak.json and to the
terminal; the exit code is 1 if one of them is bad.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
import json
import os
from pathlib import Path
import random
import re
import sys
import tempfile
import time
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(FOLDER))

from harness import policies, robots, velocity_policy  # noqa: E402 - the folder must be known
from harness.deployment import DeploymentUnderTest  # noqa: E402
from harness.domains import allocate_domain  # noqa: E402
from harness.injections import Injection, catalogue  # noqa: E402
from harness.reaction import STARVATION  # noqa: E402
from harness.starvation import starvation  # noqa: E402
from harness.strays import favour  # noqa: E402
from harness.velocity_wire import VelocityAuditor  # noqa: E402
from harness.wire import NS  # noqa: E402
from harness.witness import stamp_ns  # noqa: E402

#: States in which the robot may move: somebody asked for it, or it brakes.
MAY_MOVE = {'ALIGN', 'AUTO', 'SLOW', 'BRAKING', 'TAKEOVER', 'HUMAN', 'FINALIZING'}
#: States that a policy's motion may come from, with the code that must be given.
_ASKED = {'STARTED', 'RESUMED', 'SHUTDOWN'}
#: Newest messages that are kept from one cycle to the next.
KEPT = 300


def seconds(text: str) -> float:
    """Return a duration such as 10min, 1h, 90s or 90."""
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*(h|min|m|s|)', text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f'expected a time such as 10min, 1h or 90s, got {text!r}')
    return float(match[1]) * {'h': 3600.0, 'min': 60.0, 'm': 60.0, 's': 1.0, '': 1.0}[match[2]]


class Soak:
    """Runs injections and keeps the score."""

    def __init__(
        self, deployment: DeploymentUnderTest, seed: int, *, velocities: bool = False
    ) -> None:
        self.deployment = deployment
        self._random = random.Random(seed)
        self._velocities = velocities
        self._catalogue = catalogue(velocities=velocities)
        self._left: list[Injection] = []
        self.rows: dict[tuple[int, str], dict[str, Any]] = {}
        self.failures: list[str] = []
        self.violations: list[str] = []
        self.unexplained: list[str] = []
        self.commands = self.cycles = self.void = 0
        self._first_event = 0

    def cycle(self) -> None:
        """Move, disturb, judge, recover."""
        d, w = self.deployment, self.deployment.witness
        d.auto()
        w.watch(self._random.uniform(0.2, 1.5))
        d.auto_again()
        injection = self._next()
        begin_ns = w.now_ns()
        events = w.mark()
        told = ''
        try:
            self._judge(injection, events)
        except AssertionError as failure:
            told = str(failure).splitlines()[0]
        injection.undo(d)
        if injection.codes and not told and self._random.random() < 0.5:
            w.watch(self._random.uniform(0.2, 1.0))  # nothing may move before somebody asks
        if told:
            # Data that came late, where the fault did not hold it up, is the machine's doing, too.
            late = {e.code for e in w.events[events:]} & (STARVATION - set(injection.codes))
            if starvation(d, begin_ns) or late:
                self.void += 1
                self._row(injection)['void'] += 1
            else:
                self.failures.append(f'row {injection.row}, {injection.name}: {told}')
        if isinstance(w.wire, VelocityAuditor):
            self._excuse(w.wire)
        d.calm()
        self._audit()
        self.cycles += 1

    def _next(self) -> Injection:
        """Return the next fault: all of them in a random order, then again in another one."""
        if not self._left:
            self._left = self._random.sample(self._catalogue, len(self._catalogue))
        return self._left.pop()

    def _row(self, injection: Injection) -> dict[str, Any]:
        return self.rows.setdefault(
            (injection.row, injection.name),
            {'count': 0, 'void': 0, 'worst_s': None, 'bound_s': injection.bound_s},
        )

    def _judge(self, injection: Injection, events: int) -> None:
        d, w = self.deployment, self.deployment.witness
        row = self._row(injection)
        begin_ns = w.now_ns()
        at_ns = injection.inject(d)

        def news() -> list[Any]:
            # What a controller said before may come late.
            return [e for e in w.events[events:] if e.monotonic_ns >= begin_ns]

        if injection.states == ('',):
            d.wait_for_end('controller')
            row['count'] += 1
            return
        if not injection.codes:
            w.watch(0.6)
            w.drain()
            if said := [f'{e.state} [{e.code}]' for e in news()]:
                raise AssertionError(f'expected that it goes on, got {said}')
            row['count'] += 1
            return
        # A robot that came to rest on a tail meanwhile needs no braking.
        first = w.until(
            lambda: next((e for e in news() if e.state not in ('AUTO', 'SLOW')), None),
            'a stop',
            timeout_s=10.0,
        )
        end = w.until(
            lambda: next((e for e in news() if e.state not in ('BRAKING', 'AUTO', 'SLOW')), None),
            'the end of the braking',
            timeout_s=10.0,
        )
        if first.code not in injection.codes:
            raise AssertionError(f'stopped by {first.code}, expected {injection.codes}')
        if end.state not in injection.states:
            raise AssertionError(f'ended in {end.state}, expected {injection.states}')
        took_s = (first.monotonic_ns - at_ns) / NS
        if injection.bound_s is not None and took_s > injection.bound_s:
            raise AssertionError(f'took {took_s:.3f} s, allowed are {injection.bound_s:.3f} s')
        row['count'] += 1
        row['worst_s'] = took_s if row['worst_s'] is None else max(row['worst_s'], took_s)

    # Everything on the wire ---------------------------------------------------------------------

    def _audit(self) -> None:
        """Judge every command since the last audit; the robot is at rest in READY."""
        w = self.deployment.witness
        w.mark()
        commands = w.wire.commands
        report = w.wire.report()
        self.violations += report.violations
        self.commands += report.commands
        self._explain()
        del commands[:-1]
        for kept in (w.statuses, w.chunks, w.observations, w.joint_states, w.wire.measured):
            del kept[:-KEPT]

    def _excuse(self, wire: VelocityAuditor) -> None:
        """Tell the auditor when the controller could not say anything."""
        offset_ns = self.deployment.witness.offset_ns
        wire.excused = [
            (begin + offset_ns, (end or time.monotonic_ns()) + offset_ns)
            for name, begin, end in self.deployment.pauses
            if name == 'controller'
        ]

    def _explain(self) -> None:
        """Find motion in states that must not move, and motion that nobody asked for."""
        w = self.deployment.witness
        events = w.events[self._first_event :]
        self._first_event = max(0, len(w.events) - 1)
        for before, after in pairwise(events):
            if before.state in MAY_MOVE or after.state == before.state:
                continue
            begin, end = stamp_ns(before.stamp), stamp_ns(after.stamp)
            # The command of the tick in which a state begins is sent right after its event.
            within = [
                c for c in w.wire.commands if begin + 20_000_000 < c.sent_ns < end - 20_000_000
            ]
            if self._velocities:  # zero is reached by braking, in every state
                within = [
                    c
                    for last, c in pairwise(within)
                    if (abs(c.velocities) > abs(last.velocities)).any()
                ]
            self.unexplained += [
                f'command {c.sequence} moves in {before.state}' for c in within if c.moving
            ]
        still = ('READY', 'HELD', 'HANDBACK', 'FAULT', 'ESTOP')
        self.unexplained += [
            f'{e.previous_state} to {e.state} [{e.code}]'
            for e in events
            if e.state in MAY_MOVE and e.previous_state in still and e.code not in _ASKED
        ]

    # Report -------------------------------------------------------------------------------------

    @property
    def passed(self) -> bool:
        return not (self.failures or self.violations or self.unexplained)

    def document(self, *, seed: int, robot: str, wanted_s: float, took_s: float) -> dict[str, Any]:
        rows = [
            {'row': row, 'fault': name, **found}
            for (row, name), found in sorted(self.rows.items())
        ]
        return {
            'seed': seed,
            'robot': robot,
            'rate_hz': robots.RATE_HZ,
            'wanted_s': wanted_s,
            'duration_s': round(took_s, 1),
            'cycles': self.cycles,
            'void': self.void,
            'commands': self.commands,
            'violations': self.violations,
            'unexplained_motions': self.unexplained,
            'failures': self.failures,
            'passed': self.passed,
            'rows': rows,
        }


def tell(document: dict[str, Any]) -> None:
    """Print the report."""
    print(f'\n{"row":>3}  {"fault":32} {"times":>5} {"void":>4} {"worst":>9} {"allowed":>9}')
    for row in document['rows']:
        worst = '' if row['worst_s'] is None else f'{row["worst_s"]:.3f} s'
        bound = '' if row['bound_s'] is None else f'{row["bound_s"]:.3f} s'
        print(
            f'{row["row"]:>3}  {row["fault"]:32} {row["count"]:>5} {row["void"]:>4} '
            f'{worst:>9} {bound:>9}'
        )
    print(
        f'\nrobot by {document["robot"]} at {document["rate_hz"]:g} Hz, seed {document["seed"]}: '
        f'{document["cycles"]} faults in {document["duration_s"]:.0f} s, {document["void"]} void '
        'for want of computing time\n'
        f'{document["commands"]} commands on the wire: {len(document["violations"])} limit '
        f'violations, {len(document["unexplained_motions"])} unexplained motions'
    )
    for name in ('violations', 'unexplained_motions', 'failures'):
        for each in document[name][:20]:
            print(f'{name}: {each}', file=sys.stderr)


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--duration', type=seconds, default=600.0, help='e.g. 10min, 1h or 90s')
    parser.add_argument('--seed', type=int, default=1, help='decides the order of the faults')
    parser.add_argument(
        '--rate', type=float, default=robots.RATE_HZ, help='control rate [Hz], e.g. 200'
    )
    parser.add_argument(
        '--robot', choices=('position', 'velocity'), default='position', help='what it takes'
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'out' / 'soak.json')
    arguments = parser.parse_args()
    if arguments.rate != robots.RATE_HZ:  # the harness knows one rate, from its environment
        os.environ['BC_TEST_RATE_HZ'] = f'{arguments.rate:g}'
        os.execv(sys.executable, [sys.executable, *sys.argv])
    velocities = arguments.robot == 'velocity'
    favour(os.getpid(), niceness=-5)
    domain, _descriptor = allocate_domain()
    folder = Path(tempfile.mkdtemp(prefix='bc_soak_'))
    deployment = DeploymentUnderTest(
        folder / 'deployment',
        domain=domain,
        robot=robots.write(
            folder / 'arm.yaml', robots.by_velocities() if velocities else robots.gentle()
        ),
        model=(velocity_policy if velocities else policies).orbit(folder / 'orbit.onnx'),
    ).start()
    soak = Soak(deployment, arguments.seed, velocities=velocities)
    begin = time.monotonic()
    try:
        deployment.calm()
        while time.monotonic() - begin < arguments.duration:
            soak.cycle()
            if sys.stdout.isatty():
                print(f'\r{time.monotonic() - begin:5.0f} s, {soak.cycles} faults', end='')
    except (AssertionError, KeyboardInterrupt) as error:
        soak.failures.append(f'the deployment did not come back: {error!r}')
    finally:
        document = soak.document(
            seed=arguments.seed,
            robot=arguments.robot,
            wanted_s=arguments.duration,
            took_s=time.monotonic() - begin,
        )
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(document, indent=2) + '\n', encoding='utf-8')
        deployment.stop()
    tell(document)
    if not soak.passed:
        print(f'logs of the nodes: {folder}', file=sys.stderr)
    return 0 if soak.passed else 1


if __name__ == '__main__':
    sys.exit(main())
