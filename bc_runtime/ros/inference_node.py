# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `inference`: observations in, action chunks out.

One worker thread runs the policy, always on the newest observation; the executor only stores
messages. Setting the parameter `model` loads another policy beside the one in charge; it takes
over between two chunks once it has proven itself, and whatever goes wrong the old one goes on.
A policy that raises gets a new session in the same way, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter as RosParameter
from std_srvs.srv import Trigger

from bc_msgs import msg as bc_msg
from bc_runtime.binding import check_binding
from bc_runtime.heartbeat import Patience, heartbeat_of_process
from bc_runtime.inference_loop import InferenceLoop, PolicyInputs
from bc_runtime.policy import (
    InferenceFailed,
    OneRetry,
    Policy,
    PolicyFacts,
    PolicySlot,
    Remedy,
    SlotBusy,
    load_policy,
)
from bc_runtime.policy.slot import SlotState, SlotStatus
from bc_runtime.resources import robot_file
from bc_runtime.ros import convert, qos
from bc_runtime.ros.diagnostics import Diagnostics
from bc_runtime.ros.inference_parameters import PARAMETERS, preferred, role_of, trigger_options
from bc_runtime.ros.lifecycle import DeploymentNode
from bc_runtime.ros.model_folders import ModelFolders
from bc_runtime.ros.policy_info import policy_info
from bc_runtime.ros.policy_keeper import PolicyKeeper
from bc_runtime.ros.runtime import run_node
from bc_runtime.ros.scheduling import hold_back_this_thread
from bc_runtime.spec import BcError, ObservationError, PolicyError, RobotConfig

#: The worker looks at the clock this often for triggers that wait for a time [s].
_POLL_S = 0.005
_LOAD_TIMEOUT_S = 120.0


class InferenceNode(DeploymentNode):
    """See the module's docstring."""

    NOTED_BY_NODE = frozenset({'model'})

    def __init__(self) -> None:
        super().__init__('inference', PARAMETERS)
        # The folder of this one stays allowed, whatever is swapped in.
        self._first_model = str(self.get_parameter('model').value)
        self._slot = PolicySlot()
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
        self._configured = False
        self._keeper = PolicyKeeper()
        self._remark = ''
        self._first = True
        self._retry = OneRetry()
        self._rebuilding = False
        self._epoch = 0
        self._patience = Patience()
        self._heartbeat = heartbeat_of_process(
            wanted=lambda: self._active and self._loop.accepting,
            loading=lambda: self._slot.status.state is SlotState.LOADING,
        )

    # Lifecycle --------------------------------------------------------------------------------

    def configure(self) -> None:
        """Load the policy, test it, and tell everybody what it is."""
        self._robot = RobotConfig.from_file(robot_file(self.get_parameter('robot').value))
        value = lambda name: self.get_parameter(name).value  # noqa: E731
        self._shadow = role_of(self) == 'shadow'
        self._slot = PolicySlot(on_change=self._on_slot)
        self._directories = ModelFolders.of(value('model_directories'), self._first_model)
        self._loop = InferenceLoop(self._slot, trigger_options(self))
        self._publisher = self.create_publisher(bc_msg.ActionChunk, 'action_chunk', qos.DATA)
        self._info_publisher = self.create_publisher(bc_msg.PolicyInfo, 'policy_info', qos.LATCHED)
        self._load(str(self.kept_settings.pop('model', '') or value('model')))
        status = self._slot.wait(_LOAD_TIMEOUT_S)
        if status.state is not SlotState.READY:
            raise PolicyError(status.reason or f'{status.requested!r} is still being loaded')
        self._slot.swap()
        self.create_subscription(bc_msg.Observation, 'observation', self._on_observation, qos.DATA)
        self.create_subscription(
            bc_msg.ExecutionState, 'execution_state', self._on_execution_state, qos.COMMAND
        )
        self.create_service(Trigger, '~/rollback', self._on_rollback)
        if self._first:  # parameters live as long as the node
            self._first = False
            self.add_on_set_parameters_callback(self._check_parameters)
            self.add_post_set_parameters_callback(self._apply_parameters)
        self._diagnostics = Diagnostics(self, self._diagnose)
        self._configured = True

    def activate(self) -> None:
        """Start the worker."""
        self._ending = False
        self._fresh = False
        self._worker = threading.Thread(target=self._work, name='inference', daemon=True)
        self._worker.start()
        self._heartbeat.start()

    def deactivate(self) -> None:
        """Let the present inference end and stop the worker."""
        self._heartbeat.stop()
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._worker is not None:
            self._worker.join(timeout=1.0)
            self._worker = None

    def cleanup(self) -> None:
        """Drop the policy and every interface."""
        self._configured = False
        self._slot.close()
        self._keeper.clear()
        self.destroy_interfaces()

    # The policy in charge -----------------------------------------------------------------------

    def _load_file(self, requested: str) -> Policy:
        value = lambda name: self.get_parameter(name).value  # noqa: E731
        return load_policy(
            requested,
            model_dirs=self._directories.searched,
            allowed_dirs=self._directories.allowed_for(requested),
            providers=tuple(value('providers')),
            allow_fallback=value('allow_fallback'),
            threads=value('threads'),
        )

    def _load(self, requested: str) -> None:
        self._load_began = time.monotonic()

        def check(policy: Policy) -> None:
            check_binding(policy.spec, self._robot)
            self._keeper.loaded(requested, policy)

        self._slot.load(lambda: self._load_file(requested), requested=requested, check=check)

    def _rebuild(self, active: PolicyFacts, error: BcError) -> None:
        """Make the session of the policy in charge anew, beside the one that raises."""

        def check(policy: Policy) -> None:
            if policy.policy_id != active.policy_id:
                raise PolicyError(f'{active.path} has changed; set the parameter model to load it')
            self._keeper.rebuilt(policy)

        self._remark = f'the session is made anew: {error}'
        self._load_began = time.monotonic()
        self._rebuilding = True
        name = active.requested
        try:
            self._slot.load(lambda: self._load_file(name), requested=name, check=check)
        except SlotBusy:  # somebody was quicker; what they load comes next
            self._rebuilding = False

    def _give_up(self, reason: str) -> None:
        """Tell the controller that no chunks will come of this policy."""
        self.get_logger().error(f'given up: {reason}')
        self._remark = reason
        self._publish_info(replace(self._slot.status, reason=''), bc_msg.PolicyInfo.STATE_BROKEN)

    def _check_parameters(self, changed: Sequence[RosParameter]) -> SetParametersResult:
        """Refuse at once what can be known at once: no such file, no spec, another robot."""
        for parameter in changed:
            if parameter.name != 'model' or self._reverting:
                continue
            reason = self._directories.refusal(parameter.value, self._robot)
            if self._slot.status.state is SlotState.LOADING:
                reason = 'another policy is being loaded; wait for policy_info'
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _apply_parameters(self, changed: Sequence[RosParameter]) -> None:
        for parameter in changed:
            if parameter.name != 'model' or self._reverting or not self._configured:
                continue
            self._retry.begin_anew()
            try:
                self._load(parameter.value)
            except SlotBusy as error:  # a session is being made anew, since a moment ago
                self.get_logger().error(f'{parameter.value!r} is not taken: {error}')
                self._revert(self._slot.active.requested if self._slot.active else '')

    def _on_slot(self, status: SlotStatus) -> None:
        """Say what became of a load; called from the thread that made the change."""
        info = bc_msg.PolicyInfo
        active = status.active
        rebuilding = self._rebuilding and status.state is not SlotState.LOADING
        self._rebuilding = self._rebuilding and not rebuilding
        if status.state is SlotState.FAILED and rebuilding:
            self._retry.cannot_rebuild()
            self._give_up(f'no new session: {status.reason}')
        elif status.state is SlotState.FAILED:
            self._keeper.forget_loaded()
            self.get_logger().error(f'{status.requested!r} is not taken: {status.reason}')
            self._publish_info(status, info.STATE_FAILED)
            if active is not None:
                self._revert(active.requested)
        elif status.state is SlotState.LOADING:
            self._publish_info(status, info.STATE_LOADING)
        elif status.state is SlotState.IDLE and active is not None:
            self.live_settings.note('model', active.requested)
            self._keeper.took_over(active.policy_id, chunks=self._loop.sequence)
            if self._shadow:  # nobody judges its chunks
                self._keeper.executed(active.policy_id, self._loop.sequence + 1)
            if self.get_parameter('model').value != active.requested:
                self._revert(active.requested)
            self._patience.restart(active.warmup_s)
            self.get_logger().info(
                f'policy {active.spec.name!r} ({active.spec.family}) is in charge, '
                f'on {active.provider}'
            )
            self._publish_info(status, info.STATE_READY)
        elif status.state is SlotState.READY:
            with self._wake:
                self._fresh = True
                self._wake.notify()

    def _on_rollback(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Go back to the policy before; the controller asks for it, or the operator."""
        before = self._keeper.before
        if self._slot.status.state is SlotState.LOADING:
            response.message = 'another policy is being loaded; wait for policy_info'
        elif before is None:
            response.message = 'there was no other policy before this one'
        else:
            active = self._slot.active
            away = active.spec.name if active is not None else 'the present policy'
            self._remark = f'rolled back to {before.requested}: {away} was sent away'
            self.get_logger().warning(self._remark)
            response.success, response.message = True, f'going back to {before.requested}'
            if before.policy is None:
                self._load(before.requested)
            else:
                self._load_again(before.requested, before.policy)
        return response

    def _load_again(self, requested: str, policy: Policy) -> None:
        """Let a policy that is loaded and proven take over."""
        self._load_began = time.monotonic()
        self._keeper.loaded(requested, policy)
        self._slot.load(lambda: policy, requested=requested)

    def _revert(self, requested: str) -> None:
        """Let the parameter say again what is really in charge."""
        self._reverting = True
        try:
            self.set_parameters([RosParameter('model', value=requested)])
        finally:
            self._reverting = False

    def _publish_info(self, status: SlotStatus, state: int) -> None:
        message = status.reason or self._remark
        if state in (bc_msg.PolicyInfo.STATE_READY, bc_msg.PolicyInfo.STATE_BROKEN):
            self._remark = ''
        self._info_publisher.publish(
            policy_info(
                status,
                state,
                message=message,
                now=self.get_clock().now().to_msg(),
                load_s=time.monotonic() - self._load_began,
            )
        )

    # Callbacks: store and wake ------------------------------------------------------------------

    def _on_observation(self, msg: bc_msg.Observation) -> None:
        if not msg.valid:
            return
        try:
            inputs = convert.policy_inputs(msg)
        except ObservationError as error:
            self.get_logger().error(f'observation refused: {error}', throttle_duration_sec=1.0)
            return
        self._loop.on_observation(inputs)
        with self._wake:
            self._fresh = True
            self._wake.notify()

    def _on_execution_state(self, msg: bc_msg.ExecutionState) -> None:
        if msg.epoch != self._epoch:
            self._epoch = msg.epoch
            self._retry.begin_anew()
        self._keeper.executed(msg.policy_id, msg.chunk_sequence)
        self._loop.on_execution_state(
            epoch=msg.epoch,
            accepting=msg.accepting,
            remaining_s=msg.remaining_horizon,
            committed=convert.committed_prefix(msg),
            seed=self.get_parameter('seed').value,
        )

    # Worker -------------------------------------------------------------------------------------

    def _work(self) -> None:
        if self._shadow:
            hold_back_this_thread()  # what only watches must never delay what acts
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
        active = self._slot.active
        self._heartbeat.begin(self._patience.limit_s)
        try:
            result = self._loop.infer(inputs)
        except BcError as error:
            self._failures += 1
            self._problem = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            # What another machine computes is connected anew by itself.
            if isinstance(error, InferenceFailed) and active and active.backend != 'remote':
                self._remedy(active, error)
            return
        finally:
            self._heartbeat.finish()
        self._patience.note(result.inference_s)
        self._retry.succeeded(result.policy.generation)
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
        self.get_logger().debug(
            f'chunk {result.chunk.sequence} of {active.spec.name if active else "?"}, inferred in '
            f'{result.inference_s * 1e3:.1f} ms'
        )

    def _remedy(self, active: PolicyFacts, error: InferenceFailed) -> None:
        loading = self._slot.status.state in (SlotState.LOADING, SlotState.READY)
        remedy = self._retry.failed(active.generation, loading=loading)
        if remedy is Remedy.REBUILD:
            self._rebuild(active, error)
        elif remedy is Remedy.GIVE_UP:
            self._give_up(f'again, with a new session: {error}')

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
    return run_node(lambda: preferred(InferenceNode()), args=sys.argv)


if __name__ == '__main__':
    sys.exit(main())
