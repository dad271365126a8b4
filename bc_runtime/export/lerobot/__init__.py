# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot checkpoint directories -> verified ONNX policies.

* `checkpoint`: reads the directory's files by name; JSON and safetensors only
* `declaration`: what a checkpoint does not say (joint names, units, cameras, rate)
* `contract`: both together as a `PolicySpec`
* `normalization`: the processors' arithmetic as torch modules
* `act`, `diffusion`, `vqbet`, `smolvla`: the networks' inference as one graph each
* `vlm`: the tokenizer and the sizes of SmolVLA's vision-language model, from a local folder
* `source`: LeRobot itself, to build the network and to compare with
* `run`: `export_checkpoint`, which does all of it

Facts about the format: LeRobot 0.4.4 (https://github.com/huggingface/lerobot).
"""
