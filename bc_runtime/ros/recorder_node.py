# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Node `recorder`: every topic of the deployment, one MCAP bag per episode.

Topics are subscribed from the start, in serialized form, so that an episode begins without a gap;
what comes between episodes is let go. The last message of a latched topic (policy, instruction,
state) that came before the episode is written at its start: a bag says by itself what ran in it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
import math
import os
from pathlib import Path
import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time
from std_msgs.msg import String

from bc_msgs import msg as bc_msg
from bc_msgs import srv as bc_srv
from bc_runtime.recording.definitions import DefinitionLibrary
from bc_runtime.recording.disk import GIGABYTE, DiskLevel, DiskLimits, check_writable
from bc_runtime.recording.episode_writer import EpisodeWriter, WriterState, WriterStatus
from bc_runtime.recording.labels import EpisodeLabels, Outcome
from bc_runtime.recording.problem import problem_of
from bc_runtime.recording.topic import RecordedTopic
from bc_runtime.recording.topic_flow import TopicAudit, describe_losses
from bc_runtime.ros import qos
from bc_runtime.ros.diagnostics import Diagnostics
from bc_runtime.ros.lifecycle import DeploymentNode, Running
from bc_runtime.ros.raw_topics import RawTopic, RawTopics, to_qos_profile
from bc_runtime.ros.recorder_parameters import PARAMETERS
from bc_runtime.ros.runtime import run_node
from bc_runtime.ros.scheduling import step_back
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.spec.errors import BcError, RecordingError

STATUS_PERIOD_S = 1.0
#: How long to go on recording after a signal, so that the bag shows the robot coming to rest.
LINGER_S = 0.3
DRAIN_S = 0.4


class Recorder(Running):
    """A configured recorder: its topics, its services and the episode that is being recorded.

    Args:
        node: Declares `PARAMETERS`.

    Raises:
        BcError: no topics are given, or nothing can be written to the folder.
    """

    def __init__(self, node: DeploymentNode) -> None:
        self._node = node
        self._working = False
        self._writer: EpisodeWriter | None = None
        self._asked = bc_srv.StartEpisode.Request()
        self._start_ns = 0
        self._reported: set[str] = set()
        self._stopping_since = math.inf
        # Topic name -> last message of a latched topic and its time of reception [ns].
        self._latched: dict[str, tuple[bytes, int]] = {}
        names = [name for name in self._node.get_parameter('topics').value if name]
        if not names:
            raise RecordingError(
                "parameter 'topics' is empty; expected a list of 'name' or "
                "'name:package/msg/Type', e.g. ['joint_states', 'action_chunk']"
            )
        check_writable(self._directory())
        self._instruction_topic = self._node.resolve_topic_name(
            self._node.get_parameter('instruction_topic').value
        )
        self._publisher = self._node.create_publisher(bc_msg.Episode, 'episode', qos.LATCHED)
        self._episode_topic = RecordedTopic(
            name=self._node.resolve_topic_name('episode'),
            definition=DefinitionLibrary().get('bc_msgs/msg/Episode'),
            qos=(to_qos_profile(qos.LATCHED),),
        )
        # Our own topic is written directly: its last message must be in before the bag closes.
        names = [
            n
            for n in names
            if self._node.resolve_topic_name(n.partition(':')[0]) != self._episode_topic.name
        ]
        self._topics = RawTopics(node, names, self._on_message, self._on_topic_found)
        node.create_service(bc_srv.StartEpisode, '~/start_episode', self._on_start)
        node.create_service(bc_srv.StopEpisode, '~/stop_episode', self._on_stop)
        steady_timer(node, STATUS_PERIOD_S, self._watch)
        self._diagnostics = Diagnostics(node, self._diagnose)

    def _directory(self) -> Path:
        return Path(self._node.get_parameter('directory').value).expanduser().absolute()

    def activate(self) -> None:
        """Allow episodes."""
        self._working = True

    def deactivate(self) -> None:
        """Close the bag of a running episode."""
        self._working = False
        self._end_aborted('recorder was deactivated')

    def cleanup(self) -> None:
        """End subscriptions and services."""
        self._topics.close()
        self._node.destroy_interfaces()

    # Messages --------------------------------------------------------------------------------

    def _on_topic_found(self, topic: RawTopic) -> None:
        if self._writer is not None and topic.recorded is not None:
            self._writer.add_topic(topic.recorded)

    def _on_message(self, topic: RawTopic, data: bytes) -> None:
        if topic.latched:
            self._latched[topic.name] = (data, topic.received_ns)
        if self._writer is not None:
            self._writer.write(topic.name, data, log_time_ns=topic.received_ns)

    # Services --------------------------------------------------------------------------------

    def _on_start(
        self, request: bc_srv.StartEpisode.Request, response: bc_srv.StartEpisode.Response
    ) -> bc_srv.StartEpisode.Response:
        try:
            # Whoever got no answer in time asks again: that episode is being recorded.
            writer = self._writer
            if writer is None or not request.id or request != self._asked:
                writer = self._start(request)
        except (BcError, OSError) as error:
            response.message = str(error)
            self._node.get_logger().error(f'cannot start an episode: {error}')
            return response
        missing = self._topics.missing()
        response.success = True
        response.id = writer.labels.id
        response.path = str(writer.path)
        response.message = f'recording {len(self._topics.topics) - len(missing)} topics'
        if missing:
            response.message += f'; nobody publishes yet: {", ".join(missing)}'
        self._node.get_logger().info(f'{response.id}: {response.message} to {response.path}')
        return response

    def _start(self, request: bc_srv.StartEpisode.Request) -> EpisodeWriter:
        if not self._working:
            raise RecordingError('the recorder is not active; activate it first')
        if self._writer is not None:
            raise RecordingError(
                f'episode {self._writer.labels.id!r} is still being recorded; call '
                f'{self._node.get_fully_qualified_name()}/stop_episode first'
            )
        # What came before the start belongs to no episode, but may say what it is about.
        self._topics.scan()
        self._topics.fetch_all()
        labels = EpisodeLabels(
            id=request.id or f'episode_{datetime.now():%Y%m%d_%H%M%S}',
            instruction=request.instruction or self._known_instruction(),
            policy_id=self._known_policy(),
            seed=None if request.seed < 0 else request.seed,
            extra=_key_values(request.labels),
        )
        found = [t.recorded for t in self._topics.topics.values() if t.recorded is not None]
        writer = EpisodeWriter(
            self._directory(),
            labels=labels,
            topics=[*found, self._episode_topic],
            queue_bytes=self._node.get_parameter('queue_mb').value * 1_000_000,
            drain_s=DRAIN_S,
            disk_limits=DiskLimits(
                warn_bytes=round(self._node.get_parameter('disk_warn_gb').value * GIGABYTE),
                stop_bytes=round(self._node.get_parameter('disk_stop_gb').value * GIGABYTE),
            ),
            ros_distro=os.environ.get('ROS_DISTRO', ''),
        )
        self._reported.clear()
        self._start_ns = self._node.get_clock().now().nanoseconds
        for name, (data, received_ns) in self._latched.items():
            # Logged at the start, so that the bag spans the episode; the older time is kept.
            writer.write(name, data, log_time_ns=self._start_ns, publish_time_ns=received_ns)
        for topic in self._topics.topics.values():
            topic.flow.restart(self._start_ns)
        self._writer, self._asked = writer, request
        self._announce(writer)
        return writer

    def _on_stop(
        self, request: bc_srv.StopEpisode.Request, response: bc_srv.StopEpisode.Response
    ) -> bc_srv.StopEpisode.Response:
        writer = self._writer
        if writer is None:
            response.message = (
                f'no episode is being recorded; call {self._node.get_fully_qualified_name()}'
                '/start_episode first'
            )
            return response
        try:
            outcome = Outcome(request.outcome)
        except ValueError:
            response.message = (
                f'outcome is {request.outcome}; expected one of: '
                f'{", ".join(f"{o.value} {o.name.lower()}" for o in Outcome)}'
            )
            return response
        status, response.episode = self._end(
            writer,
            replace(
                writer.labels,
                outcome=outcome,
                termination=request.termination,
                note=request.note,
            ),
        )
        response.success = True
        response.message = status.error or f'{status.messages} messages in {status.path}'
        return response

    # Episode ---------------------------------------------------------------------------------

    def _end(
        self, writer: EpisodeWriter, labels: EpisodeLabels
    ) -> tuple[WriterStatus, bc_msg.Episode]:
        self._topics.fetch_all()  # what has come until now is part of the episode
        # The policy may have come only after the start.
        labels = replace(labels, policy_id=labels.policy_id or self._known_policy())
        writer.labels = labels
        episode = self._announce(writer, over=True)
        self._writer = None
        audits = self._audits()
        try:
            status = writer.close(labels, audits=audits)
        except OSError as error:
            # The bag had already ended by itself; only the labels could not be written.
            self._node.get_logger().error(f'{writer.path}: labels not written: {error}')
            status = writer.status
        episode.messages, episode.dropped = status.messages, status.dropped
        self._publisher.publish(episode)
        if status.error:
            self._node.get_logger().error(f'{labels.id}: {status.error}')
        self._node.get_logger().info(
            f'{labels.id}: {labels.outcome.name.lower()}, {status.messages} messages, '
            f'{status.bytes_written / 1e6:.1f} MB, {status.dropped} dropped, '
            f'{episode.lost} lost'
        )
        self._tell_audit(audits, status)
        return status, episode

    def _end_aborted(self, termination: str) -> None:
        writer = self._writer
        if writer is not None:
            labels = replace(writer.labels, outcome=Outcome.ABORTED, termination=termination)
            self._end(writer, labels)

    def _announce(self, writer: EpisodeWriter, *, over: bool = False) -> bc_msg.Episode:
        """Publish the episode as it is now, and put it into its bag."""
        status, labels = writer.status, writer.labels
        audits = self._audits()
        now = self._node.get_clock().now()
        episode = bc_msg.Episode(
            id=labels.id,
            recording=not over and status.state is WriterState.RECORDING,
            path=str(status.path),
            instruction=labels.instruction,
            policy_id=labels.policy_id,
            seed=-1 if labels.seed is None else labels.seed,
            outcome=labels.outcome.value,
            termination=labels.termination,
            note=labels.note,
            messages=status.messages,
            dropped=status.dropped,
            lost=sum(audit.lost for audit in audits.values()),
            losses=describe_losses(audits),
            problem=problem_of(status),
        )
        episode.header.stamp = now.to_msg()
        episode.start = Time(nanoseconds=self._start_ns).to_msg()
        if over:
            episode.end = now.to_msg()
        self._publisher.publish(episode)
        if status.state is WriterState.RECORDING:
            writer.write(
                self._episode_topic.name, serialize_message(episode), log_time_ns=now.nanoseconds
            )
        return episode

    def _audits(self) -> dict[str, TopicAudit]:
        return {
            topic.name: topic.flow.audit
            for topic in self._topics.topics.values()
            if topic.recorded is not None
        }

    def _tell_audit(self, audits: dict[str, TopicAudit], status: WriterStatus) -> None:
        """Print counts, rates, gaps and losses of each topic of the episode that ended."""
        for name, audit in sorted(audits.items()):
            self._node.get_logger().info(
                f'  {name}: {audit.received} messages, {audit.rate_hz:.1f} Hz, largest gap '
                f'{audit.largest_gap_s:.3f} s, {audit.lost} lost, '
                f'{status.dropped_by_topic.get(name, 0)} dropped'
            )
        if losses := describe_losses(audits):
            self._node.get_logger().warning(losses)

    def _known_policy(self) -> str:
        for topic in self._topics.topics.values():
            if topic.type == 'bc_msgs/msg/PolicyInfo' and topic.name in self._latched:
                data, _ = self._latched[topic.name]
                return str(deserialize_message(data, bc_msg.PolicyInfo).policy_id)
        return ''

    def _known_instruction(self) -> str:
        if self._instruction_topic not in self._latched:
            return ''
        data, _ = self._latched[self._instruction_topic]
        return str(deserialize_message(data, String).data)

    # Watching --------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Report once a second how the recording goes, and each problem once."""
        writer = self._writer
        if writer is None:
            return
        status = writer.status
        self._announce(writer)
        if status.state is not WriterState.RECORDING:
            # Also after a warning: a recording that was warned of is not one that has ended.
            self._report_once('end', f'recording has ended: {status.error}')
        elif status.disk.level is not DiskLevel.OK:
            self._report_once(
                'disk',
                f'only {status.disk.free_bytes / GIGABYTE:.1f} GB are free; recording stops at '
                f'{self._node.get_parameter("disk_stop_gb").value:g} GB',
            )

    def _report_once(self, what: str, text: str) -> None:
        if what in self._reported:
            return
        self._reported.add(what)
        if what == 'end':
            self._node.get_logger().error(text)
        else:
            self._node.get_logger().warning(text)

    def _diagnose(self) -> tuple[bytes, str, dict[str, object]]:
        writer, problems = self._writer, self._topics.problems()
        if writer is None:
            level = DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
            return level, '; '.join(problems) or 'ready to record', {}
        status = writer.status
        facts: dict[str, object] = {
            'episode': writer.labels.id,
            'messages': status.messages,
            'megabytes': round(status.bytes_written / 1e6, 1),
            'dropped': status.dropped,
            'lost': sum(audit.lost for audit in self._audits().values()),
            'free gigabytes': round(status.disk.free_bytes / GIGABYTE, 1),
            'topics without publisher': ', '.join(self._topics.missing()),
        }
        if status.error:
            return DiagnosticStatus.ERROR, status.error, facts
        problems += filter(None, [problem_of(status), describe_losses(self._audits())])
        level = DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
        return level, '; '.join(problems) or 'recording', facts

    # End of the process ----------------------------------------------------------------------

    def request_stop(self) -> None:
        """Go on for a moment, then close the bag."""
        self._stopping_since = time.monotonic()

    def at_rest(self) -> bool:
        """Return True once the bag is closed."""
        if self._writer is None:
            return True
        if time.monotonic() - self._stopping_since < LINGER_S:
            return False
        self._end_aborted('the deployment was stopped')
        return True


class RecorderNode(DeploymentNode):
    """See the module's docstring."""

    def __init__(self) -> None:
        super().__init__('recorder', PARAMETERS)

    def configure(self) -> Recorder:
        """Subscribe to everything and offer the services."""
        try:
            return Recorder(self)
        except BcError:
            self.destroy_interfaces()
            raise


def _key_values(pairs: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition('=')
        if not separator or not key:
            raise RecordingError(f"label {pair!r}: expected 'key=value'")
        labels[key] = value
    return labels


def main() -> int:
    """Run the node."""
    step_back()
    return run_node(RecorderNode, args=sys.argv)


if __name__ == '__main__':
    sys.exit(main())
