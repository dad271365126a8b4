# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Policies as torch exported programs (`.pt2`), read only if nothing in them can run code.

* `archive`: looks into the file before torch does
* `program_policy`: `Policy` on top of it
"""
