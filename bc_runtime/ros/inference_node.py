# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `inference`: observations in, action chunks out.

One worker thread runs the policy, so that never two inferences are in flight, and always on the
newest observation. The executor only stores messages. The policy works while the controller
accepts chunks; it is loaded, tested and warm before that.
"""

from __future__ import annotations

import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus

from bc_msgs import msg as bc_msg
from bc_runtime.binding import check_binding
from bc_runtime.policy import Policy, load_policy
from bc_runtime.resources import model_directories, robot_file
from bc_runtime.ros import convert, qos
from bc_runtime.ros.diagnostics import Diagnostics
from bc_runtime.ros.lifecycle import DeploymentNode
from bc_runtime.ros.parameters import Parameter
from bc_runtime.ros.runtime import run_node
from bc_runtime.spec import BcError, RobotConfig

PARAMETERS = (
    Parameter(name='robot', default='sim_arm', description='Robot YAML, or a shipped robot'),
    Parameter(name='model', default='sim_arm_act', description='Policy file, or a shipped model'),
    Parameter(
        name='providers',
        default=['CPUExecutionProvider'],
        description='ONNX Runtime execution providers, best first',
        read_only=True,
    ),
    Parameter(
        name='allow_fallback',
        default=False,
        description='Accept a slower provider than the first when that one is not available',
        read_only=True,
    ),
    Parameter(
        name='threads',
        default=1,
        description='Threads of one inference',
        minimum=1,
        maximum=64,
        read_only=True,
    ),
    Parameter(
        name='seed', default=0, description='Seed of the sampling noise', minimum=0, maximum=2**31
    ),
)


class InferenceNode(DeploymentNode):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__('inference', PARAMETERS)
        self._policy: Policy | None = None
        self._worker: threading.Thread | None = None
        self._newest: bc_msg.Observation | None = None
        self._wake = threading.Condition()
        self._ending = False
        self._accepting = False
        self._epoch = 0
        self._sequence = 0
        self._failures = 0
        self._problem = ''
        self._inference_s = 0.0

    def configure(self) -> None:
        """Load the policy, test it, and tell everybody what it is."""
        robot = RobotConfig.from_file(robot_file(self.get_parameter('robot').value))
        self._publisher = self.create_publisher(bc_msg.ActionChunk, 'action_chunk', qos.DATA)
        self._info_publisher = self.create_publisher(bc_msg.PolicyInfo, 'policy_info', qos.LATCHED)
        requested = self.get_parameter('model').value
        start = time.monotonic()
        try:
            policy = load_policy(
                requested,
                model_dirs=model_directories(),
                providers=tuple(self.get_parameter('providers').value),
                allow_fallback=self.get_parameter('allow_fallback').value,
                threads=self.get_parameter('threads').value,
            )
            check_binding(policy.spec, robot)
        except BcError as error:
            self._publish_info(requested, None, bc_msg.PolicyInfo.STATE_FAILED, str(error))
            raise
        policy.reset(seed=self.get_parameter('seed').value)
        self._policy = policy
        self._publish_info(
            requested,
            policy,
            bc_msg.PolicyInfo.STATE_READY,
            '',
            load_time=time.monotonic() - start,
        )
        self.create_subscription(bc_msg.Observation, 'observation', self._on_observation, qos.DATA)
        self.create_subscription(
            bc_msg.ExecutionState, 'execution_state', self._on_execution_state, qos.COMMAND
        )
        self._diagnostics = Diagnostics(self, self._diagnose)
        self.get_logger().info(
            f'policy {policy.spec.name!r} ({policy.spec.family}) is ready on {policy.provider}'
        )

    def activate(self) -> None:
        """Start the worker."""
        self._ending = False
        self._worker = threading.Thread(target=self._work, name='inference', daemon=True)
        self._worker.start()

    def deactivate(self) -> None:
        """Let the present inference end and stop the worker."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._worker is not None:
            self._worker.join(timeout=1.0)
            self._worker = None

    def _publish_info(
        self,
        requested: str,
        policy: Policy | None,
        state: int,
        message: str,
        *,
        load_time: float = 0.0,
    ) -> None:
        msg = bc_msg.PolicyInfo(state=state, message=message, requested=requested)
        msg.header.stamp = self.get_clock().now().to_msg()
        if policy is not None:
            msg.policy_id = policy.policy_id
            msg.name = policy.spec.name
            msg.version = policy.spec.version
            msg.family = policy.spec.family
            msg.path = policy.path
            msg.spec_json = policy.spec.to_json()
            msg.backend = policy.backend
            msg.provider = policy.provider
            msg.load_time = load_time
            msg.warmup_inference = policy.warmup_s
            msg.self_test_error = policy.self_test_error
        self._info_publisher.publish(msg)

    # Callbacks: store and wake ------------------------------------------------------------------

    def _on_observation(self, msg: bc_msg.Observation) -> None:
        with self._wake:
            self._newest = msg
            self._wake.notify()

    def _on_execution_state(self, msg: bc_msg.ExecutionState) -> None:
        with self._wake:
            if msg.epoch != self._epoch and self._policy is not None:
                self._epoch = msg.epoch
                self._newest = None
                self._policy.reset(seed=self.get_parameter('seed').value + msg.epoch)
            self._accepting = msg.accepting

    # Worker -------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._ending and (self._newest is None or not self._accepting):
                    self._wake.wait()
                if self._ending:
                    return
                observation, self._newest = self._newest, None
            if observation.valid and observation.policy_id == self._policy.policy_id:
                self._infer(observation)

    def _infer(self, observation: bc_msg.Observation) -> None:
        policy = self._policy
        start_ns = self.get_clock().now().nanoseconds
        try:
            tensors = {t.name: convert.tensor_from_msg(t) for t in observation.tensors}
            inference = policy.infer(tensors)
        except BcError as error:
            self._failures += 1
            self._problem = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        self._problem = ''
        self._inference_s = inference.inference_ns * 1e-9
        self._sequence += 1
        self._publisher.publish(
            convert.chunk_to_msg(
                policy.spec,
                observation,
                inference.values,
                sequence=self._sequence,
                policy_id=policy.policy_id,
                start_ns=start_ns,
                end_ns=self.get_clock().now().nanoseconds,
                inference_s=self._inference_s,
            )
        )

    def _diagnose(self) -> tuple[bytes, str, dict[str, object]]:
        facts = {
            'chunks': self._sequence,
            'failures': self._failures,
            'inference_ms': round(self._inference_s * 1e3, 2),
            'provider': self._policy.provider if self._policy else '',
        }
        if self._problem:
            return DiagnosticStatus.ERROR, self._problem, facts
        return DiagnosticStatus.OK, 'inferring' if self._accepting else 'waiting', facts


def main() -> int:
    """Run the node."""
    return run_node(InferenceNode, args=sys.argv)


if __name__ == '__main__':
    sys.exit(main())
