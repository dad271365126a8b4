# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `inference`: observations in, action chunks out.

One worker thread runs the policy, always on the newest observation; the executor only stores
messages. Setting the parameter `model` loads another policy beside the active one; it takes over
between two chunks once it has proven itself, and whatever goes wrong the old one continues
(`bc_runtime.policy.exchange`).
"""

from __future__ import annotations

from dataclasses import dataclass
import sys
import threading

from diagnostic_msgs.msg import DiagnosticStatus

from bc_msgs import msg as bc_msg
from bc_runtime.heartbeat import Patience, heartbeat_of_process
from bc_runtime.inference_loop import InferenceLoop, InferenceResult, PolicyInputs
from bc_runtime.policy import InferenceFailed, PolicyFacts, SlotState
from bc_runtime.resources import robot_file
from bc_runtime.ros import convert, qos
from bc_runtime.ros.diagnostics import Diagnostics
from bc_runtime.ros.inference_parameters import PARAMETERS, preferred, role_of, trigger_options
from bc_runtime.ros.lifecycle import DeploymentNode, Running
from bc_runtime.ros.model_folders import ModelFolders
from bc_runtime.ros.policy_swaps import PolicySwaps
from bc_runtime.ros.runtime import run_node
from bc_runtime.ros.scheduling import hold_back_this_thread
from bc_runtime.ros.untyped import value_of
from bc_runtime.spec import BcError, ObservationError, RobotConfig

#: The worker looks at the clock this often for triggers that wait for a time [s].
_POLL_S = 0.005


@dataclass(slots=True)
class _Counts:
    """What the diagnostics say."""

    chunks: int = 0
    failures: int = 0
    inference_s: float = 0.0
    problem: str = ''


class Inference(Running):
    """A configured inference node: its policies, its worker and its topics.

    Args:
        node: Declares `PARAMETERS`.
        first_model: The model at the start; its folder stays allowed, whatever is swapped in.
        requested: The model to begin with.

    Raises:
        BcError: the robot, the trigger or the model cannot be used.
    """

    def __init__(self, node: DeploymentNode, *, first_model: str, requested: str) -> None:
        self._node = node
        self._shadow = role_of(node) == 'shadow'
        self._waits_for_time = value_of(node, 'trigger') != 'as_fast_as_possible'
        self._wake = threading.Condition()
        self._fresh = False
        self._end = threading.Event()
        self._epoch = 0
        self._counts = _Counts()
        self._patience = Patience()
        self._swaps = PolicySwaps(
            node,
            robot=RobotConfig.from_file(robot_file(value_of(node, 'robot'))),
            folders=ModelFolders.of(value_of(node, 'model_directories'), first_model),
            judged=not self._shadow,
            on_ready=self._wake_worker,
            on_active=lambda active: self._patience.restart(active.warmup_s),
        )
        self._slot = self._swaps.slot
        self._loop = InferenceLoop(self._slot, trigger_options(node))
        self._heartbeat = heartbeat_of_process(
            wanted=lambda: self._loop.accepting,
            loading=lambda: self._slot.status.state is SlotState.LOADING,
        )
        self._publisher = node.create_publisher(bc_msg.ActionChunk, 'action_chunk', qos.DATA)
        self._swaps.begin(requested)
        node.create_subscription(bc_msg.Observation, 'observation', self._on_observation, qos.DATA)
        node.create_subscription(
            bc_msg.ExecutionState, 'execution_state', self._on_execution_state, qos.COMMAND
        )
        self._diagnostics = Diagnostics(node, self._diagnose)

    def activate(self) -> None:
        """Start the worker."""
        self._fresh = False
        self._end = threading.Event()
        self._worker = threading.Thread(
            target=self._work, args=(self._end,), name='inference', daemon=True
        )
        self._worker.start()
        self._heartbeat.start()

    def deactivate(self) -> None:
        """Let the present inference end and stop the worker."""
        self._heartbeat.stop()
        self._end.set()
        self._wake_worker()
        self._worker.join(timeout=1.0)

    def cleanup(self) -> None:
        """Drop the policies and every interface."""
        self._swaps.close()
        self._node.destroy_interfaces()

    # Callbacks: store and wake ------------------------------------------------------------------

    def _wake_worker(self) -> None:
        with self._wake:
            self._fresh = True
            self._wake.notify_all()

    def _on_observation(self, msg: bc_msg.Observation) -> None:
        if not msg.valid:
            return
        try:
            inputs = convert.policy_inputs(msg)
        except ObservationError as error:
            self._node.get_logger().error(
                f'observation refused: {error}', throttle_duration_sec=1.0
            )
            return
        self._loop.on_observation(inputs)
        self._wake_worker()

    def _on_execution_state(self, msg: bc_msg.ExecutionState) -> None:
        if msg.epoch != self._epoch:
            self._epoch = msg.epoch
            self._slot.begin_anew()
        self._slot.executed(msg.policy_id, msg.chunk_sequence)
        self._loop.on_execution_state(
            epoch=msg.epoch,
            accepting=msg.accepting,
            remaining_s=msg.remaining_horizon,
            committed=convert.committed_prefix(msg),
            seed=self._node.get_parameter('seed').value,
        )

    # Worker -------------------------------------------------------------------------------------

    def _work(self, end: threading.Event) -> None:
        if self._shadow:
            hold_back_this_thread()  # what only watches must never delay what acts
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._fresh or end.is_set(), _POLL_S if self._waits_for_time else None
                )
                self._fresh = False
            if end.is_set():
                return
            inputs = self._loop.take(now_ns=self._now_ns())
            if inputs is not None:
                self._infer(inputs)

    def _infer(self, inputs: PolicyInputs) -> None:
        start_ns = self._now_ns()
        active = self._slot.active
        self._heartbeat.begin(self._patience.limit_s)
        try:
            result = self._loop.infer(inputs)
        except BcError as error:
            self._failed(active, error)
            return
        finally:
            self._heartbeat.finish()
        self._patience.note(result.inference_s)
        self._slot.succeeded(result.policy)
        self._publish(result, start_ns=start_ns, end_ns=self._now_ns())

    def _failed(self, active: PolicyFacts | None, error: BcError) -> None:
        self._counts.failures += 1
        self._counts.problem = str(error)
        self._node.get_logger().error(str(error), throttle_duration_sec=1.0)
        # What another machine computes is connected anew by itself.
        if isinstance(error, InferenceFailed) and active and active.backend != 'remote':
            self._slot.raised(active, error, self._swaps.load_file)

    def _publish(self, result: InferenceResult, *, start_ns: int, end_ns: int) -> None:
        self._counts.problem = ''
        self._counts.inference_s = result.inference_s
        self._counts.chunks += 1
        self._publisher.publish(
            convert.chunk_to_msg(
                result.chunk,
                result.policy.spec,
                start_ns=start_ns,
                end_ns=end_ns,
                inference_s=result.inference_s,
                prefix_steps=result.prefix_steps,
            )
        )
        self._loop.delivered(now_ns=end_ns)
        self._node.get_logger().debug(
            f'chunk {result.chunk.sequence} of {result.policy.spec.name}, inferred in '
            f'{result.inference_s * 1e3:.1f} ms'
        )

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _diagnose(self) -> tuple[bytes, str, dict[str, object]]:
        active, counts = self._slot.active, self._counts
        facts: dict[str, object] = {
            'policy': active.policy_id[:12] if active else '',
            'provider': active.provider if active else '',
            'chunks': counts.chunks,
            'failures': counts.failures,
            'inference_ms': round(counts.inference_s * 1e3, 2),
        }
        if counts.problem:
            return DiagnosticStatus.ERROR, counts.problem, facts
        return DiagnosticStatus.OK, 'inferring' if self._loop.accepting else 'waiting', facts


class InferenceNode(DeploymentNode):
    """See the module's docstring."""

    NOTED_BY_NODE = frozenset({'model'})

    def __init__(self) -> None:
        super().__init__('inference', PARAMETERS)
        self._first_model = str(self.get_parameter('model').value)

    def configure(self) -> Inference:
        """Load the policy, test it, and tell everybody what it is."""
        # What was swapped in by the process before this one, rather than the command line's.
        kept = str(self.kept_settings.pop('model', ''))
        requested = kept or str(self.get_parameter('model').value)
        try:
            return Inference(self, first_model=self._first_model, requested=requested)
        except BcError:
            self.destroy_interfaces()
            raise


def main() -> int:
    """Run the node."""
    return run_node(lambda: preferred(InferenceNode()), args=sys.argv)


if __name__ == '__main__':
    sys.exit(main())
