# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A deployment of real processes under test: start it, disturb it, judge what it sends."""
