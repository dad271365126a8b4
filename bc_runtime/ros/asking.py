# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""answer_of: a service asks, the next tick decides, and the service waits for what it said."""

from __future__ import annotations

from collections.abc import Callable
import threading

from bc_runtime.control.requests import Reply

#: Longest time for the tick to answer [s].
ANSWER_TIMEOUT_S = 1.0


def answer_of(
    post: Callable[[Reply], object],
    lock: threading.Lock,
    *,
    take_back: Callable[[Reply], None],
) -> tuple[bool, str]:
    """Post something to the control loop and return what the tick answers.

    Args:
        post: Gives the loop the question and the reply to call.
        lock: Held around `post` and `take_back`.
        take_back: Withdraws a question that got no answer in time: a robot must not start for
            somebody who was told that it does not.
    """
    answer: list[tuple[bool, str]] = []
    done = threading.Event()

    def reply(accepted: bool, text: str) -> None:
        answer.append((accepted, text))
        done.set()

    with lock:
        post(reply)
    if not done.wait(ANSWER_TIMEOUT_S):
        with lock:
            take_back(reply)
    if not answer:
        return False, f'the control loop did not answer within {ANSWER_TIMEOUT_S:g} s'
    return answer[0]
