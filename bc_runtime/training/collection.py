# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Collect demonstrations of the expert, and keep them on disk for the next training."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from itertools import count
from pathlib import Path
import time

from bc_runtime import sim
from bc_runtime.sim.demonstrations import Demonstration, KickPlan, collect
from bc_runtime.training.demonstration_set import (
    DemonstrationSet,
    join_demonstrations,
    load_demonstrations,
)

# Raised when the stored arrays change their meaning.
_FORMAT = 1
_EPISODES_PER_LINE = 20


def demonstrations(
    *, episodes: int, first_scene: int, folder: Path, say: Callable[[str], None]
) -> DemonstrationSet:
    """Return successful demonstrations with pushes, from disk if they were collected before.

    Args:
        episodes: Number of successful demonstrations.
        first_scene: Seed of the first scene to try; the next ones count up.
        folder: Where the npz is kept.
        say: Takes lines of progress.
    """
    path = folder / f'sim_arm_{episodes}_{first_scene}_{_fingerprint()}.npz'
    if path.is_file():
        say(f'demonstrations: {path} (collected before)')
        return load_demonstrations(path)
    say(f'collecting {episodes} demonstrations from scene {first_scene} on')
    found: list[Demonstration] = []
    begin = time.process_time()
    for demonstration in collect(count(first_scene), kicks=KickPlan()):
        found.append(demonstration)
        if len(found) % _EPISODES_PER_LINE == 0 or len(found) == episodes:
            tried = demonstration.seed - first_scene + 1
            steps = sum(len(each) for each in found)
            say(
                f'  {len(found)}/{episodes} succeeded of {tried} tried, {steps} steps, '
                f'{time.process_time() - begin:.0f} CPU s'
            )
        if len(found) == episodes:
            break
    result = join_demonstrations(found)
    result.save(path)
    say(f'demonstrations: {path}')
    return result


def _fingerprint() -> str:
    """Return a digest of the simulation's source: other physics needs other demonstrations."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for folder in sim.__path__:
        for path in sorted(Path(folder).glob('*.py')):
            digest.update(path.name.encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()[:12]
