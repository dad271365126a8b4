# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What an observation costs: three cameras 640x480 to 224x224 with the joints of two arms.

Times are CPU time of this process, with OpenCV on one thread and memory kept as in the nodes.
Beside each kind of picture stands what bare OpenCV needs for the same pixels, so that the part of
the stack itself can be seen.
Budgets (docs/reference/observation.md): 4 ms for the observation; a frame that no observation uses
costs at most 5 % of its decoding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import ctypes
from dataclasses import dataclass, replace
import itertools
import json
import os
from pathlib import Path
import time
from typing import Any

import cv2
import numpy as np

from bc_runtime.observation import (
    CompressedImage,
    ObservationAssembler,
    RawImage,
    decode_image,
    make_picture,
)
from bc_runtime.observation.images import opencv_version
from bc_runtime.spec import ImageInput, PolicySpec, RobotConfig

BUDGET_MS = 4.0
BUDGET_SHARE = 0.05
CAMERAS = ('left', 'right', 'top')
JOINTS = tuple(f'{side}_{i}' for side in ('left', 'right') for i in range(7))
HEIGHT, WIDTH = 480, 640
FRAME_NS = 33_333_333
OUT = Path('out/bench/observation.json')
CODES = {'area': cv2.INTER_AREA, 'linear': cv2.INTER_LINEAR}


@dataclass(frozen=True)
class Case:
    """One kind of camera and policy input."""

    name: str
    encoding: str = 'rgb8'
    interpolation: str = 'area'
    mode: str = 'stretch'
    dtype: str = 'uint8'
    layout: str = 'HWC'
    n_obs_steps: int = 1


CASES = (
    Case('rgb8, area'),
    Case('bgr8, area', encoding='bgr8'),
    Case('rgb8, linear', interpolation='linear'),
    Case('rgb8, area, float32 CHW', dtype='float32', layout='CHW'),
    Case('rgb8, letterbox linear', interpolation='linear', mode='letterbox'),
    Case('rgb8, area, history of 2', n_obs_steps=2),
    Case('yuyv, area', encoding='yuyv'),
    Case('jpeg, area', encoding='jpeg'),
)


def cpu_us(call: Callable[[], object], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        start = time.process_time_ns()
        call()
        times.append((time.process_time_ns() - start) / 1e3)
    return times


def scene(seed: int) -> np.ndarray:
    """Return a smooth picture with sensor noise, so that JPEG has work as in a real scene."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def message(rgb: np.ndarray, encoding: str) -> RawImage | CompressedImage:
    if encoding == 'jpeg':
        data = cv2.imencode('.jpg', rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        return CompressedImage(format='rgb8; jpeg compressed bgr8', data=data.tobytes())
    pixels = {'rgb8': rgb, 'bgr8': rgb[..., ::-1], 'yuyv': rgb[..., :2]}[encoding]
    data = np.ascontiguousarray(pixels).tobytes()
    step = len(data) // HEIGHT
    return RawImage(
        height=HEIGHT, width=WIDTH, encoding=encoding, step=step, is_bigendian=False, data=data
    )


def make_robot(case: Case) -> RobotConfig:
    joints = '\n'.join(
        f'  - {{name: {j}, unit: rad, position: [-3, 3], velocity: 1, acceleration: 1}}'
        for j in JOINTS
    )
    kind = 'compressed' if case.encoding == 'jpeg' else 'raw'
    cameras = '\n'.join(f'  {c}: {{topic: {c}, transport: {kind}}}' for c in CAMERAS)
    return RobotConfig.from_yaml(
        f'schema_version: 1\nname: bench\njoints:\n{joints}\n'
        f'joint_states: {{topic: joint_states}}\ncameras:\n{cameras}\n'
        f'command: {{type: joint_state, topic: c, joints: [{", ".join(JOINTS)}], rate_hz: 50.0}}\n'
    )


def make_spec(case: Case) -> PolicySpec:
    steps = [case.n_obs_steps] if case.n_obs_steps > 1 else []
    size = [224, 224, 3] if case.layout == 'HWC' else [3, 224, 224]
    images = [
        {
            'kind': 'image',
            'name': name,
            'shape': [1, *steps, *size],
            'camera': name,
            'height': 224,
            'width': 224,
            'layout': case.layout,
            'dtype': case.dtype,
            'value_range': [0.0, 1.0] if case.dtype == 'float32' else [0.0, 255.0],
            'color': 'rgb',
            'resize': {'mode': case.mode, 'interpolation': case.interpolation},
        }
        for name in CAMERAS
    ]
    units = ['rad'] * len(JOINTS)
    state = {'kind': 'state', 'name': 'state', 'shape': [1, *steps, len(JOINTS)]}
    group = {'kind': 'joint_position', 'names': list(JOINTS), 'units': units}
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'bench',
            'family': 'act',
            'control_hz': 30.0,
            'n_obs_steps': case.n_obs_steps,
            'chunk_size': 8,
            'inputs': [{**state, 'joints': list(JOINTS), 'units': units}, *images],
            'output': {'name': 'action', 'groups': [group]},
        }
    )


class Feed:
    """Pushes the sensors of a robot, one camera period after another."""

    def __init__(self, case: Case, messages: list[RawImage | CompressedImage]) -> None:
        self.assembler = ObservationAssembler(spec=make_spec(case), robot=make_robot(case))
        self._messages: Iterator[RawImage | CompressedImage] = itertools.cycle(messages)
        self._position = np.linspace(-1.0, 1.0, len(JOINTS))
        self._joints_ns = 0
        self.stamp_ns = 0

    def advance(self) -> None:
        self.stamp_ns += FRAME_NS
        for name in CAMERAS:
            self.assembler.push_image(
                name, stamp_ns=self.stamp_ns, arrival_ns=None, image=next(self._messages)
            )
        while self._joints_ns <= self.stamp_ns:
            self.push_joints()

    def push_joints(self) -> None:
        self._joints_ns += 5_000_000
        self.assembler.push_joint_state(
            stamp_ns=self._joints_ns, arrival_ns=None, names=JOINTS, position=self._position
        )

    def observe(self) -> None:
        observation = self.assembler.assemble(self.stamp_ns)
        assert observation.valid, observation.reasons


def bare_opencv(case: Case, messages: list[Any]) -> Callable[[], object]:
    """Return the OpenCV calls alone that give the pixels of three pictures."""
    code = CODES[case.interpolation]
    size = (224, 168) if case.mode == 'letterbox' else (224, 224)
    frames = itertools.cycle(messages)

    def one() -> None:
        image = next(frames)
        buffer = np.frombuffer(image.data, np.uint8)
        if case.encoding == 'jpeg':
            picture = cv2.cvtColor(cv2.imdecode(buffer, -1), cv2.COLOR_BGR2RGB)
        elif case.encoding == 'yuyv':
            picture = cv2.cvtColor(buffer.reshape(HEIGHT, WIDTH, 2), cv2.COLOR_YUV2RGB_YUYV)
        else:
            picture = buffer.reshape(HEIGHT, WIDTH, 3)
            if case.encoding == 'bgr8':
                picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        cv2.resize(picture, size, interpolation=code)

    return lambda: (one(), one(), one())


def bench_case(case: Case, repeats: int) -> dict[str, float | str]:
    messages = [message(scene(i), case.encoding) for i in range(24)]
    feed = Feed(case, messages)
    feed.advance()
    for _ in range(10):
        feed.advance()
        feed.observe()
    bare = bare_opencv(case, messages)
    stack_us: list[float] = []
    bare_us: list[float] = []
    for _ in range(repeats):  # side by side, so that both see the same machine
        feed.advance()
        stack_us += cpu_us(feed.observe, 1)
        bare_us += cpu_us(bare, 1)
    return {
        'name': case.name,
        'p50_ms': float(np.median(stack_us)) / 1e3,
        'p99_ms': float(np.quantile(stack_us, 0.99)) / 1e3,
        'min_ms': min(stack_us) / 1e3,
        'opencv_p50_ms': float(np.median(bare_us)) / 1e3,
    }


def bench_extra_frames(encoding: str, repeats: int, *, frozen: bool) -> dict[str, float | str]:
    """Cost of a frame that no observation uses, against the cost of decoding and resizing it."""
    case = Case('', encoding=encoding)
    messages = [message(scene(0 if frozen else i), encoding) for i in range(24)]
    if frozen:  # equal pixels, another buffer every time, as they arrive
        messages = [replace(m, data=bytes(bytearray(m.data))) for m in messages]
    feed = Feed(case, messages)
    frames = itertools.cycle(messages)
    stamps = itertools.count(FRAME_NS, FRAME_NS // 2)

    def push() -> None:
        feed.assembler.push_image(
            'top', stamp_ns=next(stamps), arrival_ns=None, image=next(frames)
        )

    item = next(i for i in make_spec(case).inputs if isinstance(i, ImageInput))

    def decode() -> None:
        make_picture(item, decode_image(next(frames), color='rgb'))

    cpu_us(push, 40)
    push_us, decode_us = [], []
    for _ in range(repeats):
        push_us += cpu_us(push, 1)
        decode_us += cpu_us(decode, 1)
    median_push, median_decode = float(np.median(push_us)), float(np.median(decode_us))
    return {
        'name': f'{encoding}, {"same pixels again" if frozen else "new pixels"}',
        'push_us': median_push,
        'decode_us': median_decode,
        'share': median_push / median_decode,
    }


def bench_small(repeats: int) -> dict[str, float]:
    feed = Feed(CASES[0], [message(scene(i), 'rgb8') for i in range(3)])
    for _ in range(10):
        feed.advance()
    return {
        'push_joint_state_us': float(np.median(cpu_us(feed.push_joints, repeats * 5))),
        'reference_time_us': float(np.median(cpu_us(feed.assembler.reference_time, repeats * 5))),
    }


def keep_memory() -> None:
    """Keep freed memory in the process, as every node does at its start (glibc only)."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'mallopt'):
        libc.mallopt(-3, 256 << 20)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--repeats', type=int, default=300)
    parser.add_argument('--out', type=Path, default=OUT)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    keep_memory()
    repeats = arguments.repeats
    print(f'observation of 3 cameras {WIDTH}x{HEIGHT} to 224x224 and {len(JOINTS)} joints, CPU ms')
    print(f'load average of the machine: {os.getloadavg()[0]:.1f}')
    print(f'{"":28s} {"p50":>7s} {"p99":>7s} {"min":>7s} {"OpenCV p50":>11s} {"ours":>7s}')
    cases = []
    for case in CASES:
        row = bench_case(case, repeats)
        cases.append(row)
        ours = row['p50_ms'] - row['opencv_p50_ms']
        print(
            f'{row["name"]:28s} {row["p50_ms"]:7.2f} {row["p99_ms"]:7.2f} {row["min_ms"]:7.2f} '
            f'{row["opencv_p50_ms"]:11.2f} {ours:7.2f}',
            flush=True,
        )
    extra = [
        bench_extra_frames(encoding, repeats, frozen=frozen)
        for encoding in ('rgb8', 'jpeg')
        for frozen in (False, True)
    ]
    print('\na frame that no observation uses, CPU us')
    print(f'{"":28s} {"push":>9s} {"decode":>9s} {"share":>7s}')
    for row in extra:
        print(
            f'{row["name"]:28s} {row["push_us"]:9.1f} {row["decode_us"]:9.1f} {row["share"]:7.1%}'
        )
    small = bench_small(repeats)
    print(f'\npush_joint_state {small["push_joint_state_us"]:.1f} us')
    print(f'reference_time   {small["reference_time_us"]:.1f} us')
    new = [row for row in extra if 'new' in str(row['name'])]
    budgets = {
        'observation_ms': {'budget': BUDGET_MS, 'measured': cases[0]['p50_ms']},
        'extra_frame_share': {'budget': BUDGET_SHARE, 'measured': max(r['share'] for r in new)},
    }
    for name, each in budgets.items():
        each['met'] = each['measured'] <= each['budget']
        verdict = 'met' if each['met'] else 'NOT MET'
        print(f'budget {name}: {each["measured"]:.3f} of {each["budget"]:g}: {verdict}')
    result = {
        'opencv': opencv_version(),
        'numpy': np.__version__,
        'repeats': repeats,
        'load_average': os.getloadavg()[0],
        'observation': cases,
        'extra_frames': extra,
        'small': small,
        'budgets': budgets,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    print(f'written: {arguments.out}')


if __name__ == '__main__':
    main()
