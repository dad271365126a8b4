# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Conduct trials on a running deployment: reset the scene, start, watch, stop, label.

A client of the same services that an operator uses; the simulated robot's `task_state` is the
referee.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from bc_msgs import msg as bc_msg
from bc_msgs import srv as bc_srv
from bc_runtime.resources import require_log_folder
from bc_runtime.ros import qos
from bc_runtime.ros.dead_ports import shun_dead_ports
from bc_runtime.ros.runtime import make_executor, use_dds_profile
from bc_runtime.ros.scripted_human import ScriptedHuman
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.errors import BcError

_SPIN_S = 0.02
#: How long a start or a reset may be refused before that counts [s].
_START_TIMEOUT_S = 3.0
_CALL_TIMEOUT_S = 10.0


class DeploymentError(BcError):
    """The running deployment did not do what it was asked."""


class Interrupted(Exception):
    """The user wants to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The outcome of one trial.

    Attributes:
        duration_s: From the start of motion to success or the end.
        termination: success, wrong_object, timeout, or the controller's reason.
    """

    seed: int
    instruction: str
    success: bool
    wrong_object: bool
    duration_s: float
    termination: str
    bag: str


class DemoClient:
    """Talks to the deployment; every wait ends with `stop` and has a deadline.

    Args:
        stop: Set by the process's signal handler.
        alive: Raises if a process of the deployment has ended.
        takeover: Robot that a scripted human takes over once in every trial; None: nobody does.
    """

    def __init__(
        self,
        *,
        stop: threading.Event,
        alive: Callable[[], None],
        takeover: RobotConfig | None = None,
    ) -> None:
        use_dds_profile()
        require_log_folder()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._stop = stop
        self._alive = alive
        with shun_dead_ports(rclpy.get_default_context().get_domain_id()):
            self._node = Node('bc_demo')
        self._executor = make_executor()
        self._executor.add_node(self._node)
        self.status: bc_msg.ControllerStatus | None = None
        self.observation: bc_msg.ObservationStatus | None = None
        self.task: bc_msg.TaskState | None = None
        self.policy: bc_msg.PolicyInfo | None = None
        self.latency_s = float('nan')
        self.inference_s = float('nan')
        self.listen(bc_msg.ControllerStatus, 'controller/status', self._on_status, qos.DATA)
        self.listen(bc_msg.ActionChunk, 'action_chunk', self._on_chunk, qos.DATA)
        self.listen(
            bc_msg.ObservationStatus, 'observation_status', self._keep('observation'), qos.DATA
        )
        self.listen(bc_msg.TaskState, 'task_state', self._keep('task'), qos.DATA)
        self.listen(bc_msg.PolicyInfo, 'policy_info', self._keep('policy'), qos.LATCHED)
        self._services = {
            name: self._node.create_client(kind, name)
            for name, kind in (
                ('sim_robot/reset', bc_srv.ResetScene),
                ('controller/start', Trigger),
                ('controller/stop', Trigger),
                ('controller/reset', Trigger),
                ('recorder/start_episode', bc_srv.StartEpisode),
                ('recorder/stop_episode', bc_srv.StopEpisode),
            )
        }

        self.human = None if takeover is None else ScriptedHuman(self._node, takeover)

    def close(self) -> None:
        """End the client."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def listen(self, kind: type[Any], topic: str, callback: Any, profile: Any) -> None:
        """Subscribe to one more topic."""
        self._node.create_subscription(kind, topic, callback, profile)

    def _keep(self, name: str) -> Callable[[Any], None]:
        return lambda msg: setattr(self, name, msg)

    def _on_status(self, msg: bc_msg.ControllerStatus) -> None:
        self.status = msg
        if self.human is not None:
            self.human.see(msg.state)
        if msg.latency == msg.latency:
            self.latency_s = msg.latency

    def _on_chunk(self, msg: bc_msg.ActionChunk) -> None:
        self.inference_s = msg.inference

    def policy_title(self) -> str:
        """Return name, family, id and provider of the policy in charge."""
        info = self.policy
        if info is None:
            return 'no policy'
        return f'{info.name} ({info.family}), {info.policy_id[:12]}, on {info.provider}'

    # Waiting -----------------------------------------------------------------------------------

    def spin(self) -> None:
        """Handle what has come, then check that going on makes sense."""
        self._executor.spin_once(timeout_sec=_SPIN_S)
        if self._stop.is_set():
            raise Interrupted
        self._alive()

    def wait_for(
        self,
        condition: Callable[[], bool],
        what: str,
        *,
        timeout_s: float,
        each: Callable[[], None] = lambda: None,
    ) -> None:
        """Spin until `condition`.

        Raises:
            DeploymentError: not within the time; names `what` was waited for.
            Interrupted: the user wants to end.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise DeploymentError(
                    f'waited {timeout_s:g} s for {what}, but it did not come'
                    f'{self._known_reasons()}'
                )
            self.spin()
            each()

    def _known_reasons(self) -> str:
        parts = []
        if self.observation is not None and not self.observation.valid:
            parts += list(self.observation.reasons)
        if self.status is not None:
            parts.append(f'controller: {self.status.state} {self.status.reason}'.strip())
        return f' ({"; ".join(parts)})' if parts else ''

    def call(self, name: str, request: Any) -> Any:
        """Call a service of the deployment and return its response.

        Raises:
            DeploymentError: not there, no answer, or the answer is no.
        """
        client = self._services[name]
        self.wait_for(client.service_is_ready, f'the service {name}', timeout_s=_CALL_TIMEOUT_S)
        future = client.call_async(request)
        self.wait_for(future.done, f'an answer of {name}', timeout_s=_CALL_TIMEOUT_S)
        response = future.result()
        if not response.success:
            raise DeploymentError(f'{name}: {response.message}')
        return response

    def start(self) -> None:
        """Start the policy; the controller may have to learn of policy and robot first.

        Raises:
            DeploymentError: still refused after a while, with the controller's last reason.
        """
        self._insist('controller/start')

    def reset_fault(self) -> None:
        """Reset the fault that an earlier trial ended with; an emergency stop is a person's.

        Raises:
            DeploymentError: still refused after a while, with the controller's last reason.
        """
        if self.status is not None and self.status.state == 'FAULT':
            self._insist('controller/reset')

    def _insist(self, service: str) -> None:
        """Ask until the answer is yes, for a while."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                self.call(service, Trigger.Request())
                return
            except DeploymentError:
                if time.monotonic() > deadline:
                    raise
            self.spin()

    # A trial -----------------------------------------------------------------------------------

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until policy, observation and controller are there."""
        self.wait_for(
            lambda: self.policy is not None and bool(self.policy.policy_id),
            'a loaded policy',
            timeout_s=timeout_s,
        )
        self.wait_for(
            lambda: self.observation is not None and self.observation.valid,
            'a valid observation',
            timeout_s=timeout_s,
        )
        self.wait_for(
            lambda: self.status is not None and self.status.state == 'READY',
            'the controller to be READY',
            timeout_s=timeout_s,
        )

    def run_trial(
        self,
        *,
        seed: int,
        instruction: str,
        episode_id: str,
        timeout_s: float,
        each: Callable[[], None],
    ) -> Trial:
        """Run one scene from reset to label; what was recorded is kept whatever happens."""
        reset = self.call(
            'sim_robot/reset', bc_srv.ResetScene.Request(seed=seed, instruction=instruction)
        )
        words = reset.instruction
        self.task = None
        self.observation = None
        self.wait_for(
            lambda: (
                self.observation is not None
                and self.observation.valid
                and self.observation.instruction == words
                and self.task is not None
                and self.task.seed == seed
            ),
            'an observation of the new scene',
            timeout_s=_CALL_TIMEOUT_S,
        )
        recording = self.call(
            'recorder/start_episode',
            bc_srv.StartEpisode.Request(id=episode_id, instruction=words, seed=seed),
        )
        start = time.monotonic()
        termination = 'aborted'
        try:
            if self.human is not None:
                self.human.begin()
            self.reset_fault()
            self.start()
            termination = self._watch(start + timeout_s, each)
            self.call('controller/stop', Trigger.Request())
            self.wait_for(
                lambda: self._state() in ('READY', 'HELD', 'FAULT', 'ESTOP'),
                'the robot to come to rest',
                timeout_s=_CALL_TIMEOUT_S,
            )
        except DeploymentError as error:
            termination = str(error)
        finally:
            if not self._stop.is_set():
                self._label(termination)
        return Trial(
            seed=seed,
            instruction=words,
            success=termination == 'success',
            wrong_object=self._wrong_object(),
            duration_s=time.monotonic() - start,
            termination=termination,
            bag=recording.path,
        )

    def _watch(self, deadline: float, each: Callable[[], None]) -> str:
        started = False
        while time.monotonic() < deadline:
            self.spin()
            each()
            state = self._state()
            started = started or state in ('ALIGN', 'AUTO', 'SLOW')
            if self.task is not None and self.task.success:
                return 'success'
            if started and state in ('READY', 'HELD', 'FAULT', 'ESTOP', 'INACTIVE'):
                return f'{state}: {self.status.reason if self.status else ""}'
        return 'wrong_object' if self._wrong_object() else 'timeout'

    def _state(self) -> str:
        return str(self.status.state) if self.status else ''

    def _wrong_object(self) -> bool:
        return bool(self.task and self.task.wrong_object)

    def _label(self, termination: str) -> None:
        outcome = bc_msg.Episode.OUTCOME_FAILURE
        if termination == 'success':
            outcome = bc_msg.Episode.OUTCOME_SUCCESS
        elif termination == 'aborted':
            outcome = bc_msg.Episode.OUTCOME_ABORTED
        self.call(
            'recorder/stop_episode',
            bc_srv.StopEpisode.Request(outcome=outcome, termination=termination),
        )
