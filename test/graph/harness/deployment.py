# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A deployment under test: real processes in a ROS domain of their own, and their injector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any

from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
import yaml

from bc_msgs import srv as bc_srv
from bc_runtime.cli.deploy import prepare
from bc_runtime.cli.processes import ProcessGroup, command_line
from harness.sim_clock import SimClock
from harness.strays import favour, is_suspended, wait_until_none
from harness.wire import WireReport
from harness.witness import Witness

NODES = ('controller', 'observation', 'inference')
#: What a healthy simulated robot's parameters are. Real pictures have noise; without it a robot at
#: rest looks like a frozen camera.
HEALTHY = {
    'faults.cameras': ['front', 'wrist'],
    'faults.image_noise': 1.0,
    'faults.position_noise': 0.0,
    'faults.camera': 'none',
    'faults.joints': 'none',
    'faults.actuation': 'none',
    'faults.actuation_lag_s': 0.0,
}
#: On a busy machine the robot may stop because data really came late; then try again.
ATTEMPTS = 4


class DeploymentUnderTest:
    """Simulated robot, controller, observation, inference and, if wanted, recorder.

    Args:
        folder: For logs, parameters and bags.
        parameters: Per node: parameters on top of the defaults.
        arguments: Further launch arguments.
        programs: Node -> Python file to run in its module's place.
    """

    def __init__(
        self,
        folder: Path,
        *,
        domain: int,
        robot: Path,
        model: Path,
        record: bool = False,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        arguments: Mapping[str, str] | None = None,
        programs: Mapping[str, Path] | None = None,
    ) -> None:
        self.folder = folder
        self.domain = domain
        self.bags = folder / 'bags'
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / 'parameters.yaml'
        file.write_text(yaml.safe_dump(_parameters_file(parameters or {})), encoding='utf-8')
        self._deployment = prepare(
            {
                'model': str(model),
                'robot': str(robot),
                'params_file': str(file),
                'record': 'compressed' if record else 'none',
                'record_directory': str(self.bags),
                **(arguments or {}),
            }
        )
        on_sim_time = bool(arguments) and arguments.get('use_sim_time') == 'true'
        self._commands = {'sim_robot': sim_command(on_sim_time=on_sim_time)} | {
            node.name: command_line(node) for node in self._deployment.nodes
        }
        for name, program in (programs or {}).items():
            python, _, _, *options = self._commands[name]
            self._commands[name] = [python, str(program), *options]
        self._groups: dict[str, ProcessGroup] = {}
        self._expected_to_end: set[str] = set()
        self._suspended: set[str] = set()
        #: (node, from, to) of suspensions by the test, monotonic clock; `to` is 0 while one lasts.
        self.pauses: list[tuple[str, int, int]] = []
        #: Whether the test has told the robot to send no joint states, or other ones.
        self.joints_disturbed = False
        self.witness = Witness(self._deployment.robot, domain=domain, alive=self._check_alive)
        self.clock = SimClock(self.witness.node) if on_sim_time else None
        self.joints = self._deployment.robot.command.joints
        self._audited = 0

    # Life -------------------------------------------------------------------------------------

    def start(self) -> DeploymentUnderTest:
        """Start every process and wait until the controller is READY to start."""
        try:
            for name, command in self._commands.items():
                self._launch(name, command)
            self.witness.until(lambda: self.witness.policy is not None, 'a policy')
            self.until_startable()
        except BaseException:
            self.stop()
            raise
        return self

    def _launch(self, name: str, command: list[str]) -> None:
        folder = self.folder / 'logs' / name
        self._groups[name] = ProcessGroup(
            log_directory=folder / str(len(list(folder.glob('*')))),
            environment={'ROS_DOMAIN_ID': str(self.domain)},
        )
        self._groups[name].start_command(name, command)
        favour(self._groups[name].pid(name))

    def until_startable(self) -> None:
        """Wait until the controller is READY and the newest observation is valid."""
        w = self.witness
        w.until_state('READY')
        w.until(lambda: w.observations and w.observations[-1].valid, 'a valid observation')

    def auto(self) -> DeploymentUnderTest:
        """Start (or resume), and wait until the policy moves the robot at speed."""
        w = self.witness
        refusal = ''
        for _ in range(ATTEMPTS):
            events = w.mark()
            epoch = w.status.epoch
            w.until(lambda: w.observations[-1].valid, 'a valid observation')
            answer = w.call('controller/start', trigger())
            if not answer.success:
                refusal = answer.message
                w.watch(1.0)  # some things are looked at twice a second, clocks once
            elif self._moves(epoch, events):
                return self
        raise AssertionError(f'the robot does not start to move: {refusal}; {w.tell()}')

    def auto_again(self) -> None:
        """Resume where a busy machine has stopped the robot."""
        if self.witness.state != 'AUTO':
            self.auto()

    def _moves(self, epoch: int, events: int) -> bool:
        """Wait until the policy moves the robot at speed; False if it stops before."""
        w = self.witness

        def done() -> bool:
            news = [e for e in w.events[events:] if e.epoch > epoch]
            stopped = any(e.state in ('HELD', 'READY') for e in news)
            return stopped or (w.state == 'AUTO' and self.speed() > 0.4)

        w.until(done, 'the robot to move')
        w.mark()
        return w.state == 'AUTO'

    def speed(self) -> float:
        """Return the largest speed of the newest command [rad/s or m/s]."""
        commands = self.witness.wire.commands
        return float(abs(commands[-1].velocities[0]).max()) if commands else 0.0

    def calm(self) -> None:
        """Undo every disturbance and bring the controller back to READY, or raise."""
        w = self.witness
        for name in tuple(self._suspended):
            self.resume(name)
        for name in ('sim_robot', *NODES):
            if name in self._expected_to_end and not self._groups[name].pids():
                self.restart(name)
        w.set_parameters('sim_robot', HEALTHY)
        w.estop.publish(Bool(data=False))
        w.instruction.publish(String(data='put the red cube in the tray'))
        w.ticks(5)
        if w.state in ('FAULT', 'ESTOP', 'BRAKING'):
            w.until_state('FAULT', 'ESTOP', 'HELD', 'ALIGN', 'READY')
        if w.state in ('FAULT', 'ESTOP'):
            # It is refused while a robot still brakes.
            w.until(lambda: w.call('controller/reset', trigger()).success, 'a reset')
        w.call('controller/stop', trigger())
        w.until_state('READY')
        w.until(lambda: w.observations and w.observations[-1].valid, 'a valid observation')
        w.mark()
        self._audited = len(w.wire.commands)
        self.pauses.clear()
        self.joints_disturbed = False

    def reset(self) -> None:
        """Put the robot where its episodes begin."""
        response = self.witness.call(
            'sim_robot/reset', bc_srv.ResetScene.Request(seed=0), bc_srv.ResetScene
        )
        assert response.success, response.message

    def stop(self) -> None:
        """End every process; none may be left."""
        try:
            for name in tuple(self._suspended):
                self.resume(name)
            if 'controller' in self._groups:
                self._groups['controller'].stop()
            for group in self._groups.values():
                for pid in group.pids().values():
                    os.kill(pid, signal.SIGINT)
            for group in self._groups.values():
                group.stop()
        finally:
            if self.clock is not None:
                self.clock.close()
            self.witness.close()
        left = wait_until_none(self.domain, timeout_s=2.0)
        if left:
            raise AssertionError(f'these processes outlived the deployment: {left}')

    def _check_alive(self) -> None:
        for name in (*NODES, 'sim_robot'):
            group = self._groups.get(name)
            if group is None or name in self._expected_to_end:
                continue
            if not group.pids():
                raise AssertionError(f'{name} has ended: {group.log_tail(name)}')
            if name not in self._suspended and is_suspended(group.pid(name)):
                raise AssertionError(f'{name} was suspended by somebody else')

    def restart(self, name: str) -> None:
        """Start another process in the place of one that was killed."""
        if name == 'inference':
            self.witness.policy = None
        elif name == 'sim_robot':
            self.witness.wire.driver_began(time.time_ns())
        self._launch(name, self._commands[name])
        self._expected_to_end.discard(name)
        if name == 'sim_robot':
            # Whoever judges where a motion begins must hear the new driver, not only the nodes.
            w, now_ns = self.witness, time.time_ns()
            w.until(lambda: w.joint_states and w.joint_states[-1][0] > now_ns, 'joint states')
        if name == 'inference':
            self.witness.until(lambda: self.witness.policy is not None, 'the policy')

    def wait_for_end(self, name: str) -> tuple[int, int]:
        """Wait until a node's process has ended; return its exit code and the monotonic time."""
        ended = self._groups[name].ended
        _, code = self.witness.until(ended, f'the end of {name}')
        return code, time.monotonic_ns()

    # Disturbances -----------------------------------------------------------------------------

    def expect_end(self, *names: str) -> None:
        """Let processes end without failing the test."""
        self._expected_to_end.update(names)

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a node; return when, on the monotonic clock [ns]."""
        if number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
            self.expect_end(name)
        pid = self._groups[name].pids()[name]
        at_ns = time.monotonic_ns()
        os.kill(pid, number)
        return at_ns

    def kill(self, name: str) -> int:
        """Kill a node as a crash would."""
        return self.signal(name, signal.SIGKILL)

    def suspend(self, name: str) -> int:
        """Stop a node in its tracks."""
        self._suspended.add(name)
        at_ns = self.signal(name, signal.SIGSTOP)
        self.pauses.append((name, at_ns, 0))
        return at_ns

    def resume(self, name: str) -> int:
        """Let a suspended node go on."""
        self._suspended.discard(name)
        at_ns = self.signal(name, signal.SIGCONT)
        self.pauses = [
            (one, begin, at_ns if one == name and not end else end)
            for one, begin, end in self.pauses
        ]
        return at_ns

    def fault(self, **values: Any) -> int:
        """Give the simulated robot a fault, e.g. `camera='stop'`; return when asked for."""
        at_ns = time.monotonic_ns()
        self.joints_disturbed |= 'joints' in values
        self.witness.set_parameters('sim_robot', _fault_parameters(values))
        return at_ns

    def fault_without_waiting(self, **values: Any) -> None:
        """Like `fault`, but do not wait for the answer."""
        self.joints_disturbed |= 'joints' in values
        self.witness.send_parameters('sim_robot', _fault_parameters(values))

    def drive_joint_states(self, names: Callable[[list[str]], list[str]], *, ticks: int) -> int:
        """Send the joint states of a robot that follows exactly, with other names in the message.

        Args:
            names: The message's joints, out of the robot's.
            ticks: For how many control ticks.

        Returns:
            When the first was sent, monotonic clock [ns].
        """
        w = self.witness
        at_ns = time.monotonic_ns()
        for _ in range(ticks):
            seen = len(w.statuses)
            command = w.wire.commands[-1]
            position = dict(zip(command.names, command.positions[0].tolist(), strict=True))
            msg = JointState(name=names(list(command.names)))
            msg.position = [position[name] for name in msg.name]
            msg.header.stamp = w.node.get_clock().now().to_msg()
            w.joint_state_publisher.publish(msg)
            w.until(lambda seen=seen: len(w.statuses) > seen, 'a control tick')
        return at_ns

    def behind_since_ns(self, from_ns: int, distance: float) -> int:
        """Return when, from a time on, the robot was first so far from its command, monotonic."""
        w = self.witness
        w.drain()
        commands = w.wire.commands[self._audited :]
        offset_ns = w.offset_ns
        for sent_ns, msg in w.joint_states:
            if sent_ns - offset_ns < from_ns:
                continue
            known = [c for c in commands if c.sent_ns <= sent_ns]
            if not known:
                continue
            at = dict(zip(msg.name, msg.position, strict=True))
            measured = [at[name] for name in known[-1].names]
            if abs(known[-1].positions[0] - measured).max() > distance:
                return sent_ns - offset_ns
        raise AssertionError(f'the robot was never {distance} behind')

    def say(self, instruction: str) -> int:
        """Give the policy an instruction; some make it misbehave."""
        at_ns = time.monotonic_ns()
        self.witness.instruction.publish(String(data=instruction))
        return at_ns

    # Judgement --------------------------------------------------------------------------------

    def audit(self) -> WireReport:
        """Judge every command since the last `calm`; each must be inside all limits."""
        self.witness.drain()
        report = self.witness.wire.report(self._audited)
        assert not report.violations, f'{len(report.violations)}: {report.violations[:3]}'
        assert report.lost <= 0.02 * max(report.commands, 50), f'{report.lost} messages lost'
        return report

    def log(self, name: str) -> str:
        """Return everything that a node wrote."""
        files = sorted((self.folder / 'logs' / name).glob('*/*.log'))
        return '\n'.join(file.read_text(errors='replace') for file in files)


def sim_command(*, on_sim_time: bool = False) -> list[str]:
    """Return the command that starts a healthy simulated robot."""
    command = [sys.executable, '-m', 'bc_runtime.ros.sim_node', '--ros-args']
    for name, value in HEALTHY.items():
        command += ['-p', f'{name}:={json.dumps(value)}']
    return [*command, '-p', 'use_sim_time:=true'] if on_sim_time else command


def _fault_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f'faults.{name}': value for name, value in values.items()}


def trigger() -> Any:
    """Return the request of a Trigger service."""
    from std_srvs.srv import Trigger

    return Trigger.Request()


def _parameters_file(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, dict[str, Any]] = {
        'recorder': {'disk_stop_gb': 0.0, 'disk_warn_gb': 0.0},
    }
    for node, values in parameters.items():
        merged.setdefault(node, {}).update(values)
    return {f'/**/{node}': {'ros__parameters': dict(v)} for node, v in merged.items()}
