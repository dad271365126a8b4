# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Run a node of the deployment as it is, and note when it receives, works and publishes.

traced_node.py TRACE_FILE MODULE [arguments of the node]
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import importlib
from pathlib import Path
import struct
import sys
import time
from typing import Any

from graph.trace import Trace


def around(
    owner: Any,
    name: str,
    before: Callable[..., Any] | None = None,
    after: Callable[..., None] | None = None,
) -> None:
    """Call `before(*args)` and `after(value of before, result, *args)` with a method."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        kept = before(*args) if before is not None else None
        result = method(*args, **kwargs)
        if after is not None:
            after(kept, result, *args)
        return result

    setattr(owner, name, wrapped)


def image_stamp(data: bytes) -> int:
    """Return the stamp of a serialized image [ns]: the first two numbers of its header."""
    seconds, nanoseconds = struct.unpack_from('<iI', data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def trace_observation(module: Any, trace: Trace) -> None:
    node = module.ObservationNode
    around(
        node,
        '_on_image',
        lambda _, camera, data: trace.note('image', image_stamp(data), camera),
    )
    around(
        node,
        '_publish',
        lambda _, policy, observation: trace.note('assembled', observation.stamp_ns),
        lambda _kept, _result, _self, _policy, observation: trace.note(
            'observed', observation.stamp_ns
        ),
    )
    around(node, '_assemble', lambda _, policy, stamp_ns: trace.note('assemble', stamp_ns))


def trace_inference(module: Any, trace: Trace) -> None:
    from bc_runtime.ros.convert import to_ns

    node = module.Inference
    around(node, '_on_observation', lambda _, m: trace.note('arrived', to_ns(m.header.stamp)))
    around(
        node,
        '_infer',
        lambda _, inputs: trace.note('infer', inputs.stamp_ns),
        lambda _kept, _result, _self, inputs: trace.note('chunk', inputs.stamp_ns),
    )


def trace_controller(module: Any, trace: Trace) -> None:
    from bc_runtime.ros.convert import to_ns

    node, last = module.ControllerNode, [0]

    def chunk(_node: Any, msg: Any) -> None:
        trace.note('received', to_ns(msg.header.stamp), str(msg.sequence))
        trace.note('inference', to_ns(msg.header.stamp), at_ns=round(msg.inference * 1e9))

    def ticked(start_ns: int, _result: None, self: Any, tick: Any) -> None:
        trace.note('late', 0, at_ns=tick.late_ns)
        result = self._result
        if result is None or result.latency_s != result.latency_s:
            return
        trace.note('tick', result.chunk_sequence, at_ns=start_ns)
        trace.note('command', result.chunk_sequence, at_ns=last[0])

    around(node, '_on_chunk', chunk)
    around(node, '_tick', lambda _self, _tick: time.time_ns(), ticked)
    around(
        module.CommandOutput,
        'send',
        after=lambda *_: last.__setitem__(0, time.time_ns()),
    )


TRACERS = {
    'bc_runtime.ros.observation_node': trace_observation,
    'bc_runtime.ros.inference_node': trace_inference,
    'bc_runtime.ros.controller_node': trace_controller,
}


def main() -> int:
    trace_file, name = sys.argv[1:3]
    sys.argv = [name, *sys.argv[3:]]
    module = importlib.import_module(name)
    trace = Trace(Path(trace_file))
    TRACERS[name](module, trace)
    try:
        return int(module.main())
    finally:
        trace.write()


if __name__ == '__main__':
    sys.exit(main())
