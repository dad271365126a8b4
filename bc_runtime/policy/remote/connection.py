# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One websocket to a policy server: requests end in time, reconnection runs beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from socket import SO_SNDTIMEO, SOL_SOCKET
import struct
import threading
import time
from typing import Any

from bc_runtime.policy.errors import BackendUnavailable, InferenceFailed
from bc_runtime.policy.remote.wire import (
    MAX_MESSAGE_BYTES,
    WireFormatError,
    import_remote_packages,
    unpack,
)

#: Waits between attempts to connect again [s]: doubled from the first to the last.
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
CLOSE_TIMEOUT_S = 1.0


class Connection:
    """A connection that is opened once by the caller and then kept alive by itself.

    One request at a time (the protocol is lock step). A request that fails closes the connection,
    because a late answer would be taken for the next one; a thread then connects again, waiting
    longer after every failure, while further requests fail at once.

    Args:
        url: `ws://host:port`.
        api_key: Sent as `Authorization: Api-Key ...`; empty: none.
        connect_timeout_s: Longest time to connect and to receive the server's metadata [s].
        accept: Called with the metadata of every connection; raises where it is not acceptable.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = '',
        connect_timeout_s: float = 5.0,
        accept: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.url = url
        self._headers = {'Authorization': f'Api-Key {api_key}'} if api_key else {}
        self._connect_timeout_s = connect_timeout_s
        self._accept = accept
        self._lock = threading.Lock()  # guards everything below; held for moments only
        self._socket: Any = None
        self._reason = 'it was never opened'
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def open(self) -> Mapping[str, Any]:
        """Connect and return the server's metadata.

        Raises:
            BackendUnavailable: there is no server, or it speaks another protocol.
        """
        socket, metadata = self._connect()
        with self._lock:
            self._socket = socket
        return metadata

    @property
    def connected(self) -> bool:
        """Whether a request would be sent now."""
        with self._lock:
            return self._socket is not None

    def request(self, data: bytes, *, timeout_s: float) -> bytes:
        """Send one message and return the answer.

        Raises:
            InferenceFailed: not connected, no answer in time, or the server reported an error.
        """
        with self._lock:
            socket, reason = self._socket, self._reason
        if socket is None:
            raise InferenceFailed(
                f'{self.url}: not connected ({reason}); connecting again in the background'
            )
        end = time.monotonic() + timeout_s
        try:
            _discard_unasked(socket)
            _limit_sending(socket, timeout_s)
            socket.send(data)
            answer = socket.recv(timeout=max(0.0, end - time.monotonic()))
        except TimeoutError:
            self._drop(f'no answer within {timeout_s:g} s')
            raise InferenceFailed(
                f'{self.url}: the policy server gave no answer within {timeout_s:g} s; a longer '
                'timeout_s may help if it is only slow. Connecting again in the background'
            ) from None
        # websockets raises its own errors beside OSError.
        except Exception as error:  # noqa: BLE001
            text = _describe(error)
            self._drop(text)
            raise InferenceFailed(
                f'{self.url}: the connection to the policy server broke: {text}; connecting '
                'again in the background'
            ) from None
        if isinstance(answer, bytes):
            return answer
        # A text frame is the server's traceback; it closes the connection after it.
        last = str(answer).strip().splitlines()[-1:] or ['(empty)']
        self._drop(f'the server failed: {last[0]}')
        raise InferenceFailed(
            f'{self.url}: the policy server reported an error: {last[0][:500]}. Its log says '
            'more; usually the observation has other keys or shapes than its policy wants'
        )

    def close(self) -> None:
        """Close for good; returns within moments."""
        self._closing.set()
        with self._lock:
            socket, self._socket, self._reason = self._socket, None, 'it was closed'
            thread, self._thread = self._thread, None
        if socket is not None:
            _close(socket)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=CLOSE_TIMEOUT_S)

    def _drop(self, reason: str) -> None:
        with self._lock:
            socket, self._socket, self._reason = self._socket, None, reason
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(
                    target=self._keep_trying, args=(socket,), name='policy-connect', daemon=True
                )
                self._thread.start()

    def _keep_trying(self, old: Any) -> None:
        if old is not None:
            _close(old)  # waits for the other side, so not in the thread that infers
        wait_s = FIRST_WAIT_S
        while not self._closing.wait(wait_s):
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)
            try:
                socket, _ = self._connect()
            except Exception as error:  # noqa: BLE001  (whatever it is, it is tried again)
                with self._lock:
                    self._reason = str(error)
                continue
            with self._lock:
                if not self._closing.is_set():
                    self._socket, self._thread = socket, None
                    return
            _close(socket)

    def _connect(self) -> tuple[Any, Mapping[str, Any]]:
        _, client = import_remote_packages()
        try:
            # Entered, not called: newer versions return a context manager.
            context = client.connect(
                self.url,
                additional_headers=self._headers,
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=self._connect_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                # A server that computes for long does not answer pings meanwhile.
                ping_interval=None,
                proxy=None,
            )
            socket = context.__enter__()
        except ConnectionRefusedError:
            raise BackendUnavailable(
                f'{self.url}: nothing listens there; start the policy server, and check host and '
                'port'
            ) from None
        except TimeoutError:
            raise BackendUnavailable(
                f'{self.url}: no connection within {self._connect_timeout_s:g} s; check host, '
                'port and network'
            ) from None
        except Exception as error:  # noqa: BLE001  (websockets' errors and OSError)
            raise BackendUnavailable(
                f'{self.url}: expected a policy server with the websocket protocol of openpi: '
                f'{_describe(error)}'
            ) from None
        try:
            return socket, self._metadata(socket)
        except BaseException:
            _close(socket)
            raise

    def _metadata(self, socket: Any) -> Mapping[str, Any]:
        try:
            first = socket.recv(timeout=self._connect_timeout_s)
        except TimeoutError:
            raise BackendUnavailable(
                f'{self.url}: expected the metadata that an openpi server sends first, got '
                f'nothing for {self._connect_timeout_s:g} s: it speaks another protocol'
            ) from None
        except Exception as error:  # noqa: BLE001
            raise BackendUnavailable(
                f'{self.url}: the server closed the connection before its metadata: '
                f'{_describe(error)}'
            ) from None
        try:
            metadata = unpack(first) if isinstance(first, bytes) else first
        except WireFormatError as error:
            raise BackendUnavailable(f'{self.url}: another protocol is spoken: {error}') from None
        if not isinstance(metadata, dict):
            raise BackendUnavailable(
                f'{self.url}: expected a msgpack map of metadata first, as openpi servers send, '
                f'got {type(first).__name__} {str(first)[:80]!r}: it speaks another protocol'
            )
        if self._accept is not None:
            self._accept(metadata)
        return metadata


def _discard_unasked(socket: Any) -> None:
    """Break a connection on which something lies that nobody asked for.

    It would be taken for the answer to the next request, and each answer for that to the one
    after it.
    """
    try:
        socket.recv(timeout=0)
    except TimeoutError:
        return
    raise ConnectionError('the server sent a message that was not asked for')


def _limit_sending(socket: Any, timeout_s: float) -> None:
    """Let sending give up: a server that stands still takes what is sent until it is full."""
    whole, part = divmod(max(timeout_s, 0.001), 1.0)
    limit = struct.pack('ll', int(whole), round(part * 1e6))
    socket.socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, limit)


def _describe(error: Exception) -> str:
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def _close(socket: Any) -> None:
    try:
        socket.close()
    except Exception:  # noqa: BLE001  (it is gone either way)
        return
