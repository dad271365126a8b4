# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Torch modules -> verified ONNX policies.

Import from the modules; this package imports nothing by itself. All but `errors`
need torch and onnx.

* `errors`: what can go wrong
* `statistics`: no export without the ranges of the training data
* `graph`: torch to ONNX bytes, free of traces of the machine that made them
* `proof`: the same numbers from torch and ONNX Runtime, and the self-test that goes into the file
* `sampling`: diffusion and flow loops inside the graph, with noise as inputs
* `module`: `export_module`, which does all of it
* `two_graphs`: `export_two_graphs`, the form for large models: encoder and step network
* `lerobot`: the same from LeRobot checkpoint directories
"""
