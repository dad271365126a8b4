# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Three cameras 640x480 at 30 Hz and joint states, as drivers publish them.

Stamps are taken right before publishing: what a real camera needs to expose and to transfer a
picture comes on top and belongs to `latency_s` in the robot's YAML.

* `spread`: the cameras fire in turn, each with a joint state (90 Hz): one clock for all sensors.
* `together`: all three at one time, as triggered cameras, with a joint state, from one process.
* `triggered`: the same from a process for each camera and one for the joints, as drivers are.
* `free`: cameras on clocks of their own, joint states at 250 Hz, as robots send them that are
  commanded at such rates. Joints are interpolated at the picture's stamp, so that an observation
  also waits for the next joint state, 2 ms in the mean.
* `slow`: the same with joint states at 100 Hz, 5 ms in the mean.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
import heapq
import itertools
import math
from pathlib import Path
import signal
import sys
import time

from graph.example import CAMERAS, JOINTS
from graph.trace import Trace
import numpy as np

CAMERA_HZ = 30.0
JOINT_HZ = {'spread': 90.0, 'together': 90.0, 'triggered': 90.0, 'free': 250.0, 'slow': 100.0}
#: What one process sends; `triggered` has several.
SHARES = {'triggered': ('joints', *CAMERAS)}
#: Clocks of their own begin anywhere [s].
FREE_PHASES = (0.0017, 0.0151, 0.0264)


def schedule(arrangement: str) -> Iterator[tuple[float, str]]:
    """Yield (time since the start [s], 'joints' or camera), in order of time."""
    sources = [(0.0, JOINT_HZ[arrangement], 'joints')]
    for index, name in enumerate(CAMERAS):
        phase = (
            0.0 if arrangement in ('together', 'triggered') else index / len(CAMERAS) / CAMERA_HZ
        )
        begin = FREE_PHASES[index] if arrangement in ('free', 'slow') else round(phase, 6)
        sources.append((begin, CAMERA_HZ, name))
    # At one time joints come first, then the cameras in order.
    events = [(begin, order, 0) for order, (begin, _, _) in enumerate(sources)]
    heapq.heapify(events)
    while True:
        at, order, count = events[0]
        begin, rate_hz, name = sources[order]
        yield at, name
        # Rounded, so that one time is one time whatever it was computed from.
        heapq.heapreplace(events, (round(begin + (count + 1) / rate_hz, 6), order, count + 1))


def main(arrangement: str, trace_file: str, only: str = '', start_ns: str = '') -> int:
    """Publish until SIGINT or SIGTERM.

    Args:
        arrangement: See the module.
        trace_file: Gets what was sent when.
        only: The one source that this process is; empty: all of them.
        start_ns: Wall time at which it begins; processes with the same one share their stamps.
    """
    import rclpy
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Image, JointState

    from bc_runtime.ros import convert, qos
    from bc_runtime.ros.runtime import tune_memory, use_dds_profile

    tune_memory()
    use_dds_profile()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    running = [True]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.clear())
    trace = Trace(Path(trace_file))
    node = Node('sensors')
    joints = node.create_publisher(JointState, 'joint_states', qos.SENSOR)
    cameras = {
        name: node.create_publisher(Image, f'{name}/image_raw', qos.SENSOR) for name in CAMERAS
    }
    noise = np.random.default_rng(0).integers(0, 256, (4, 480 * 640 * 3), dtype=np.uint8)
    pixels = itertools.cycle([array('B', frame.tobytes()) for frame in noise])
    begin_ns = int(start_ns) if start_ns else time.time_ns()
    start, at_s, stamp_ns = time.monotonic() + (begin_ns - time.time_ns()) / 1e9, -1.0, 0
    for due_s, what in schedule(arrangement):
        if not running:
            break
        if only and what != only:
            continue
        if due_s != at_s:  # one time, one stamp
            time.sleep(max(0.0, start + due_s - time.monotonic()))
            shared_ns = begin_ns + round(due_s * 1e9)
            at_s, stamp_ns = due_s, shared_ns if start_ns else time.time_ns()
        if what == 'joints':
            position = array('d', [0.1 * math.sin(due_s)] * len(JOINTS))
            msg = JointState(name=list(JOINTS), position=position)
            msg.header.stamp = convert.to_time(stamp_ns)
            joints.publish(msg)
        else:
            image = Image(height=480, width=640, encoding='rgb8', step=1920, data=next(pixels))
            image.header.stamp = convert.to_time(stamp_ns)
            cameras[what].publish(image)
            trace.note('sent', stamp_ns, what)
    trace.write()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:5]))
