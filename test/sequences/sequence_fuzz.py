# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Random sequences for `ControlLoop`, and how one that breaks an invariant is made short.

python test/sequences/sequence_fuzz.py trajectory-2-100Hz 4711     repeats one sequence
python test/sequences/sequence_fuzz.py --ticks 100000              looks for new ones
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import random
import sys
import time

from sequence_oracle import MOVING, Broken
from sequence_robot import Setup
from sequence_world import Word, World, replay

#: Share of the ticks and the kind of robot.
SETUPS: list[tuple[float, Setup]] = [
    (0.08, Setup(kind='trajectory', joints=1, rate=100.0)),
    (0.10, Setup(kind='trajectory', joints=2, rate=100.0)),
    (0.04, Setup(kind='trajectory', joints=7, rate=200.0)),
    (0.02, Setup(kind='trajectory', joints=14, rate=100.0)),
    (0.06, Setup(kind='trajectory', joints=2, rate=10.0)),
    (0.06, Setup(kind='trajectory', joints=2, rate=30.0, simulated=True)),
    (0.04, Setup(kind='trajectory', joints=1, rate=500.0)),
    (0.06, Setup(kind='trajectory', joints=2, rate=50.0, jerk=True)),
    (0.04, Setup(kind='trajectory', joints=1, rate=200.0, jerk=True)),
    (0.10, Setup(kind='set-point', joints=2, rate=100.0)),
    (0.03, Setup(kind='set-point', joints=7, rate=50.0)),
    (0.04, Setup(kind='set-point', joints=1, rate=250.0, simulated=True)),
    (0.03, Setup(kind='set-point', joints=2, rate=50.0, jerk=True)),
    (0.10, Setup(kind='velocity', joints=2, rate=100.0)),
    (0.05, Setup(kind='velocity', joints=1, rate=20.0)),
    (0.03, Setup(kind='velocity', joints=7, rate=100.0)),
    (0.03, Setup(kind='velocity', joints=1, rate=500.0)),
    (0.05, Setup(kind='twist', joints=2, rate=50.0)),
    (0.04, Setup(kind='twist', joints=3, rate=10.0)),
]
#: Longest sequence [s of the robot's time].
HORIZON_S = 12.0
BEGIN: tuple[Word, ...] = (('post', 'CONFIGURED'), ('post', 'ACTIVATE'))
STYLES = ('sway', 'fast', 'edge', 'jumpy', 'still', 'off')
EVENTS = (
    'START', 'STOP', 'RESUME', 'RESET', 'EPISODE_END', 'DEACTIVATE', 'ACTIVATE', 'CLEANUP',
    'CONFIGURED',
)  # fmt: skip
#: What a person does to get a robot going again, whatever stopped it.
REVIVE: tuple[Word, ...] = (
    ('estop', False), ('stopped', False), ('joints', True), ('let_go',), ('wait', 3),
    ('post', 'RESET'), ('wait', 2), ('post', 'CONFIGURED'), ('post', 'ACTIVATE'), ('wait', 1),
    ('post', 'START'), ('post', 'RESUME'),
)  # fmt: skip


def draw(rng: random.Random, world: World) -> list[Word]:
    """Return what happens next."""

    def ticks(seconds: float) -> int:
        return max(1, round(seconds / world.dt_s))

    wait: Word = ('wait', ticks(rng.uniform(0.5, 1.5) * rng.choice([0.0, 0.0, 0.02, 0.1, 0.3])))
    long: Word = ('wait', ticks(rng.choice([0.3, 0.5, 1.0])))
    if world.loop.state not in MOVING and rng.random() < 0.3:
        return [('plan', rng.choice(STYLES[:4])), *REVIVE, long]
    if rng.random() < 0.3:
        return [wait]
    few = max(1, rng.choice([1, 1, 2, 5, ticks(0.15), ticks(0.5)]))
    style = rng.choice(STYLES)
    choices: list[tuple[int, list[Word]]] = [
        (8, [('post', rng.choice(EVENTS))]),
        (3, [('estop', True)]),
        (3, [('estop', True), ('estop', False)]),
        (2, [('estop', False)]),
        (1, [('stopped', True)]),
        (3, [('stopped', True), ('stopped', False)]),
        (3, [('hold', rng.choice(HANDS))]),
        (3, [('hold', 'moving'), long, ('let_go',), wait, ('post', 'RESUME')]),
        (2, [('let_go',)]),
        (1, [('hand_dies',)]),
        (3, [('swap', rng.randrange(5))]),
        (1, [('swap', rng.randrange(5)), *[('chunk', 'malformed')] * 2]),
        (1, [('chunk', rng.choice(['malformed', 'far']))] * 3),
        (4, [('plan', style)]),
        (3, [('plan', 'off'), ('wait', ticks(rng.uniform(0.3, 2.8))), ('plan', style)]),
        (2, [('dark', True), ('wait', ticks(rng.uniform(0.2, 1.5))), ('dark', False)]),
        (2, [('clock', rng.choice([-3000, -400, -60, 70, 500, 3000]))]),
        (2, [('pause', ticks(rng.choice([0.1, 1.0])))]),
        (3, [('joints', False), ('wait', few), ('joints', True)]),
        (1, [('joints', False), long, ('shove', rng.choice(SHOVES)), ('joints', True)]),
        (1, [('joints_every', rng.choice([1, 1, 2, ticks(0.08)]))]),
        (4, [('glitch', rng.choice(GLITCHES))]),
        (1, [('glitch', rng.choice(GLITCHES))] * rng.randint(2, 5)),
        (2, [('late', few)]),
        (3, [('skip', few)]),
        (2, [('fail', rng.choice(FAILS), few)]),
        (1, [('interrupted', few + 1)]),
        (4, [('chunk', rng.choice(WRONG))]),
        (2, [('shove', rng.choice(SHOVES))]),
        (1, [('block', 0, True), long, ('block', 0, False)]),
    ]
    weights, words = zip(*choices, strict=True)
    found: list[Word] = rng.choices(words, weights)[0]
    # Several things may happen between two ticks.
    return found if rng.random() < 0.25 else [*found, wait]


HANDS = ('near', 'moving', 'moving', 'far', 'silent')
SHOVES = (-0.4, -0.03, 0.02, 0.3)
GLITCHES = ('zero', 'other', 'nan', 'foreign', 'part')
FAILS = ('deciding', 'making', 'sending', 'leaving', 'braking', 'reporting')
WRONG = (
    'future', 'late', 'foreign', 'epoch', 'backward', 'malformed', 'far', 'again',
)  # fmt: skip


def explore(setup: Setup, seed: int) -> World:
    """Do one random sequence; raises `Broken` with what it takes to repeat it."""
    rng = random.Random(f'words of {setup.name}/{seed}')
    world = World(setup, seed)
    try:
        for word in (*BEGIN, ('wait', max(2, round(0.3 / world.dt_s))), *BEGIN):
            world.act(word)
        while world.ticks * world.dt_s < HORIZON_S:
            for word in draw(rng, world):
                world.act(word)
    except Exception as error:
        world.done.append(('wait', 1))
        words = shorten(setup, seed, world.done, error)
        text = ''.join(f'\n    {word!r},' for word in words)
        raise Broken(f'{error}\n{setup.name}, seed {seed}:{text}') from error
    return world


def kind_of(error: BaseException) -> str:
    """Return what is the same in a shorter sequence with the same fault."""
    return str(error).split(':')[0] if isinstance(error, Broken) else type(error).__name__


def shorten(
    setup: Setup, seed: int, words: Sequence[Word], error: BaseException, patience_s: float = 6.0
) -> list[Word]:
    """Leave out what is not needed for the same invariant to break."""
    wanted, words = kind_of(error), list(words)
    end = time.process_time() + patience_s

    def breaks(tried: list[Word]) -> bool:
        try:
            replay(setup, seed, tried)
        except Exception as found:  # noqa: BLE001 - whatever it is, it is compared
            return kind_of(found) == wanted
        return False

    size = len(words) // 2
    while size and time.process_time() < end:
        at = len(words) - size
        while at >= 0 and time.process_time() < end:
            tried = words[:at] + words[at + size :]
            if breaks(tried):
                words = tried
            at -= size
        size //= 2
    for index, word in enumerate(words):
        while word[0] == 'wait' and int(str(word[1])) > 1 and time.process_time() < end:
            word = ('wait', int(str(word[1])) // 2)
            tried = [*words[:index], word, *words[index + 1 :]]
            if not breaks(tried):
                break
            words = tried
    return words


def main() -> int:
    """Look for sequences that break an invariant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('setup', nargs='?', help='only this kind of robot')
    parser.add_argument('seed', nargs='?', type=int, help='only this sequence')
    parser.add_argument('--ticks', type=int, default=100_000, help='ticks in all')
    parser.add_argument('--first', type=int, default=0, help='first seed')
    options = parser.parse_args()
    found: dict[str, int] = {}
    for share, setup in SETUPS:
        if options.setup not in (None, setup.name):
            continue
        ticks = options.ticks if options.setup else share * options.ticks
        seed = options.first if options.seed is None else options.seed
        done, began = 0, time.process_time()
        while done < ticks:
            try:
                done += explore(setup, seed).ticks
            except Broken as error:
                kind = f'{setup.name} {kind_of(error)}'
                if found.setdefault(kind, 0) < 1:
                    print(error, flush=True)
                found[kind] += 1
                done += 1000
            if options.seed is not None:
                break
            seed += 1
        spent = (time.process_time() - began) / max(done, 1) * 1e6
        print(f'{setup.name}: {done} ticks, {spent:.0f} us each', flush=True)
    print(found)
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
