# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `inference`: observations in, action chunks out.

One worker thread runs the policy, always on the newest observation; the executor only stores
messages. Setting the parameter `model` loads another policy beside the one in charge; it takes
over between two chunks once it has proven itself, and whatever goes wrong the old one goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter as RosParameter

from bc_msgs import msg as bc_msg
from bc_runtime.binding import check_binding
from bc_runtime.inference_loop import InferenceLoop, PolicyInputs, TriggerOptions
from bc_runtime.policy import Policy, PolicyFacts, PolicySlot, load_policy
from bc_runtime.policy.slot import SlotState, SlotStatus
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.resources import model_directories, robot_file
from bc_runtime.ros import convert, qos
from bc_runtime.ros.diagnostics import Diagnostics
from bc_runtime.ros.lifecycle import DeploymentNode
from bc_runtime.ros.parameters import Parameter
from bc_runtime.ros.runtime import run_node
from bc_runtime.spec import BcError, PolicyError, RobotConfig

PARAMETERS = (
    Parameter(
        name='robot',
        default='sim_arm',
        description='Robot YAML, or a shipped robot',
        read_only=True,
    ),
    Parameter(
        name='model',
        default='sim_arm_act',
        description='Policy file, or a shipped model; set it to exchange the policy while it runs',
    ),
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
        name='seed',
        default=0,
        description='Seed of the sampling noise; each start adds its epoch',
        minimum=0,
        maximum=2**31,
    ),
    Parameter(
        name='trigger',
        default='as_fast_as_possible',
        description='When to infer: as_fast_as_possible, rate, every_n_action_steps or '
        'remaining_horizon',
        read_only=True,
    ),
    Parameter(
        name='trigger_rate_hz',
        default=0.0,
        description='rate: inferences per second; 0: the rate of the policy',
        minimum=0.0,
        maximum=1000.0,
        read_only=True,
    ),
    Parameter(
        name='n_action_steps',
        default=0,
        description='every_n_action_steps: the number; 0: as the policy says',
        minimum=0,
        maximum=10000,
        read_only=True,
    ),
    Parameter(
        name='trigger_horizon_s',
        default=0.0,
        description='remaining_horizon: threshold [s]; 0: half a chunk',
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    ),
)

#: The worker looks at the clock this often for triggers that wait for a time [s].
_POLL_S = 0.005
_LOAD_TIMEOUT_S = 120.0


class InferenceNode(DeploymentNode):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__('inference', PARAMETERS)
        self._slot = PolicySlot(on_change=self._on_slot)
        self._worker: threading.Thread | None = None
        self._wake = threading.Condition()
        self._fresh = False
        self._ending = False
        self._load_began = 0.0
        self._failures = 0
        self._chunks = 0
        self._problem = ''
        self._inference_s = 0.0
        self._reverting = False

    # Lifecycle --------------------------------------------------------------------------------

    def configure(self) -> None:
        """Load the policy, test it, and tell everybody what it is."""
        self._robot = RobotConfig.from_file(robot_file(self.get_parameter('robot').value))
        value = lambda name: self.get_parameter(name).value  # noqa: E731
        self._loop = InferenceLoop(
            self._slot,
            TriggerOptions(
                mode=value('trigger'),
                rate_hz=value('trigger_rate_hz'),
                n_action_steps=value('n_action_steps'),
                horizon_s=value('trigger_horizon_s'),
            ),
        )
        self._publisher = self.create_publisher(bc_msg.ActionChunk, 'action_chunk', qos.DATA)
        self._info_publisher = self.create_publisher(bc_msg.PolicyInfo, 'policy_info', qos.LATCHED)
        self._load(value('model'))
        status = self._slot.wait(_LOAD_TIMEOUT_S)
        if status.state is not SlotState.READY:
            raise PolicyError(status.reason or f'{status.requested!r} is still being loaded')
        self._slot.swap()
        self.create_subscription(bc_msg.Observation, 'observation', self._on_observation, qos.DATA)
        self.create_subscription(
            bc_msg.ExecutionState, 'execution_state', self._on_execution_state, qos.COMMAND
        )
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._diagnostics = Diagnostics(self, self._diagnose)

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

    def cleanup(self) -> None:
        """Drop the policy."""
        self._slot.close()

    # The policy in charge -----------------------------------------------------------------------

    def _load(self, requested: str) -> None:
        value = lambda name: self.get_parameter(name).value  # noqa: E731
        self._load_began = time.monotonic()

        def loader() -> Policy:
            return load_policy(
                requested,
                model_dirs=model_directories(),
                providers=tuple(value('providers')),
                allow_fallback=value('allow_fallback'),
                threads=value('threads'),
            )

        def check(policy: Policy) -> None:
            check_binding(policy.spec, self._robot)

        self._slot.load(loader, requested=requested, check=check)

    def _check_parameters(self, changed: Sequence[RosParameter]) -> SetParametersResult:
        """Refuse at once what can be known at once: no such file, no spec, another robot."""
        for parameter in changed:
            if parameter.name != 'model' or self._reverting:
                continue
            try:
                if self._slot.status.state is SlotState.LOADING:
                    raise PolicyError('another policy is being loaded; wait for policy_info')
                check_binding(spec_of(parameter.value, model_directories()), self._robot)
            except BcError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, changed: Sequence[RosParameter]) -> None:
        for parameter in changed:
            if parameter.name == 'model' and not self._reverting:
                self._load(parameter.value)

    def _on_slot(self, status: SlotStatus) -> None:
        """Say what became of a load; called from the thread that made the change."""
        info = bc_msg.PolicyInfo
        active = status.active
        if status.state is SlotState.FAILED:
            self.get_logger().error(f'{status.requested!r} is not taken: {status.reason}')
            self._publish_info(status, info.STATE_FAILED)
            if active is not None:
                self._revert(active.requested)
        elif status.state is SlotState.LOADING:
            self._publish_info(status, info.STATE_LOADING)
        elif status.state is SlotState.IDLE and active is not None:
            self.get_logger().info(
                f'policy {active.spec.name!r} ({active.spec.family}) is in charge, '
                f'on {active.provider}'
            )
            self._publish_info(status, info.STATE_READY)
        elif status.state is SlotState.READY:
            with self._wake:
                self._fresh = True
                self._wake.notify()

    def _revert(self, requested: str) -> None:
        """Let the parameter say again what is really in charge."""
        self._reverting = True
        try:
            self.set_parameters([RosParameter('model', value=requested)])
        finally:
            self._reverting = False

    def _publish_info(self, status: SlotStatus, state: int) -> None:
        msg = bc_msg.PolicyInfo(state=state, message=status.reason, requested=status.requested)
        msg.header.stamp = self.get_clock().now().to_msg()
        active: PolicyFacts | None = status.active
        if active is not None:
            msg.policy_id = active.policy_id
            msg.name = active.spec.name
            msg.version = active.spec.version
            msg.family = active.spec.family
            msg.path = active.path
            msg.spec_json = active.spec.to_json()
            msg.backend = active.backend
            msg.provider = active.provider
            msg.load_time = time.monotonic() - self._load_began
            msg.warmup_inference = active.warmup_s
            msg.self_test_error = active.self_test_error
        self._info_publisher.publish(msg)

    # Callbacks: store and wake ------------------------------------------------------------------

    def _on_observation(self, msg: bc_msg.Observation) -> None:
        if msg.valid:
            self._loop.on_observation(convert.policy_inputs(msg))
            with self._wake:
                self._fresh = True
                self._wake.notify()

    def _on_execution_state(self, msg: bc_msg.ExecutionState) -> None:
        self._loop.on_execution_state(
            epoch=msg.epoch,
            accepting=msg.accepting,
            remaining_s=msg.remaining_horizon,
            committed=convert.committed_prefix(msg),
            seed=self.get_parameter('seed').value,
        )

    # Worker -------------------------------------------------------------------------------------

    def _work(self) -> None:
        waits_for_time = self.get_parameter('trigger').value != 'as_fast_as_possible'
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._fresh or self._ending, _POLL_S if waits_for_time else None
                )
                self._fresh = False
                if self._ending:
                    return
            inputs = self._loop.take(now_ns=self.get_clock().now().nanoseconds)
            if inputs is not None:
                self._infer(inputs)

    def _infer(self, inputs: PolicyInputs) -> None:
        start_ns = self.get_clock().now().nanoseconds
        try:
            result = self._loop.infer(inputs)
        except BcError as error:
            self._failures += 1
            self._problem = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        end_ns = self.get_clock().now().nanoseconds
        self._problem = ''
        self._inference_s = result.inference_s
        self._chunks += 1
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

    def _diagnose(self) -> tuple[bytes, str, dict[str, object]]:
        active = self._slot.active
        facts = {
            'policy': active.policy_id[:12] if active else '',
            'provider': active.provider if active else '',
            'chunks': self._chunks,
            'failures': self._failures,
            'inference_ms': round(self._inference_s * 1e3, 2),
        }
        if self._problem:
            return DiagnosticStatus.ERROR, self._problem, facts
        return DiagnosticStatus.OK, 'inferring' if self._loop.accepting else 'waiting', facts


def main() -> int:
    """Run the node."""
    return run_node(InferenceNode, args=sys.argv)


if __name__ == '__main__':
    sys.exit(main())
