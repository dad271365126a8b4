#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Make test/golden/lerobot_*: tiny LeRobot checkpoints, exported, and LeRobot's own rollouts.

Runs in the environment of requirements/lerobot.txt. The runtime is then tested against these files
without torch.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
import sys
import tempfile

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bc_runtime.export.lerobot.checkpoint import read_checkpoint  # noqa: E402
from bc_runtime.export.lerobot.declaration import read_declaration  # noqa: E402
from bc_runtime.export.lerobot.random_checkpoint import (  # noqa: E402
    make_random_checkpoint,
    register_tiny_backbone,
)
from bc_runtime.export.lerobot.rollout import lerobot_rollout  # noqa: E402
from bc_runtime.export.lerobot.run import export_checkpoint  # noqa: E402
from bc_runtime.export.lerobot.source import (  # noqa: E402
    LeRobotPipeline,
    lerobot_version,
    load_lerobot_policy,
)
from bc_runtime.export.lerobot.vlm import load_vlm  # noqa: E402

DECLARATION = """
name: {name}
license: Apache-2.0
control_hz: 15
inputs:
  observation.state: {{joints: [j1, j2, j3, j4], units: [rad, rad, rad, m]}}
  observation.images.top: {{camera: front, resize: {{mode: none, interpolation: area}}}}
actions:
  - {{kind: joint_position, names: [j1, j2, j3], units: [rad, rad, rad]}}
  - {{kind: gripper, names: [j4], units: [m]}}
"""
HEIGHT, WIDTH, TICKS, RESETS, SEED = 24, 32, 40, (22,), 5
FEATURES = {'observation.state': (4,), 'observation.images.top': (3, HEIGHT, WIDTH)}
SMALL_UNET = {
    'down_dims': (8, 16),
    'diffusion_step_embed_dim': 16,
    'n_groups': 2,
    'spatial_softmax_num_keypoints': 4,
    'crop_shape': (20, 28),
}
CASES = {
    'lerobot_act': (
        'act',
        {
            'chunk_size': 10,
            'n_action_steps': 6,
            'dim_model': 32,
            'n_heads': 2,
            'dim_feedforward': 32,
            'n_encoder_layers': 1,
            'n_vae_encoder_layers': 1,
            'latent_dim': 4,
        },
        {},
    ),
    'lerobot_diffusion_ddim': (
        'diffusion',
        {'noise_scheduler_type': 'DDIM', 'num_inference_steps': 10, **SMALL_UNET},
        {},
    ),
    'lerobot_diffusion_ddpm': (
        'diffusion',
        {'noise_scheduler_type': 'DDPM', 'num_train_timesteps': 20, **SMALL_UNET},
        {},
    ),
    'lerobot_smolvla': (
        'smolvla',
        {
            'chunk_size': 10,
            'n_action_steps': 6,
            'max_state_dim': 8,
            'max_action_dim': 8,
            'resize_imgs_with_padding': (64, 64),
            'num_vlm_layers': 2,
            'num_steps': 5,
        },
        {},
    ),
}
SENTENCES = ('pick up the cube', 'open the drawer and put the cube in')


def observations(seed: int) -> list[dict[str, np.ndarray]]:
    """Return smooth joint motion and pictures that change with it."""
    rng = np.random.default_rng(seed)
    states = np.cumsum(rng.normal(0.0, 0.05, (TICKS, 4)), axis=0).astype(np.float32) - 0.5
    base = rng.integers(0, 256, (HEIGHT, WIDTH, 3))
    pictures = [np.roll(base, tick, axis=1).astype(np.uint8) for tick in range(TICKS)]
    # Who is told nothing does not look at the sentence; it changes within an episode as well.
    return [
        {'state': state, 'images.top': picture, 'instruction': np.array([tick // 9 % 2])}
        for tick, (state, picture) in enumerate(zip(states, pictures, strict=True))
    ]


def main() -> int:
    """Write the golden files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=ROOT / 'test' / 'golden')
    parser.add_argument('only', nargs='*', help=f'of {", ".join(CASES)}; default: all')
    options_given = parser.parse_args()
    out, only = options_given.out, options_given.only
    backbone = register_tiny_backbone()
    samples = observations(SEED)
    for name, (policy, config, options) in CASES.items():
        if only and name not in only:
            continue
        sentences = SENTENCES if policy == 'smolvla' else ()
        if not sentences:
            config = {'vision_backbone': backbone, **config}
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / name
            make_random_checkpoint(
                policy,
                directory,
                features=FEATURES,
                action_dim=4,
                seed=SEED,
                **config,
            )
            declared = Path(folder) / 'declaration.yaml'
            declared.write_text(DECLARATION.format(name=name))
            declaration = replace(read_declaration(declared), instructions=sentences)
            report = export_checkpoint(directory, declaration, out / f'{name}.onnx', **options)
            checkpoint = read_checkpoint(directory)
            vlm = load_vlm(checkpoint) if sentences else None
            source = load_lerobot_policy(checkpoint, vlm)
            rollout = lerobot_rollout(
                source,
                LeRobotPipeline(source, checkpoint, vlm, sentences),
                report.spec,
                samples,
                resets=RESETS,
                seed=SEED,
            )
        told = [SENTENCES[int(sample['instruction'][0])] for sample in samples]
        np.savez_compressed(
            out / f'{name}.npz',
            **({'instruction': np.array(told)} if sentences else {}),
            state=np.array([sample['state'] for sample in samples]),
            image=np.array([sample['images.top'] for sample in samples]),
            actions=rollout.actions,
            inferred=np.array(rollout.inferred),
            resets=np.array(RESETS),
            seed=np.array(SEED),
            lerobot=np.array(lerobot_version()),
        )
        print(f'{name}: {report.size_bytes} bytes, LeRobot agrees to {report.source_error:.1e}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
