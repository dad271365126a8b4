# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Policies on another machine, through openpi's websocket protocol.

* `wire`: arrays as msgpack, byte for byte as openpi writes them
* `connection`: one websocket; requests end in time, reconnection runs beside them
* `contract`: which keys the server wants and gives, from a side file or from the server
* `remote_policy`: `Policy` on top of it

Protocol: https://github.com/Physical-Intelligence/openpi, `openpi_client` and
`serving/websocket_policy_server.py`.
"""
