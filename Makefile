# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
#
# One command from a fresh clone: every target first makes what it needs (an environment in .venv,
# bc_msgs and bc_runtime in install/) and skips what is there already. More words for the command
# that a target runs go into ARGS:  make demo ARGS='--episodes 3'   make test ARGS='-k ensemble'
#
#   ROS_WHEELS=jazzy   use the ROS 2 wheels of Jazzy instead of Kilted (or of a sourced ROS)
#   PYTHON=python3.12  make the environment with this Python

SHELL := /bin/bash
.DEFAULT_GOAL := help
MODELS := act mlp diffusion flow gmm rt1 steering
# Its image encoders are those of every policy of the arm.
ENCODER := out/train/sim_arm_chunk.onnx

SOAK ?= 10min
TICKS ?= 10000000
RATES ?= 100 200
.PHONY: help env build demo test test-all faults soak soak-core test-train test-lerobot lint format bench train models shell clean distclean

ARGS ?=
PYTHON ?= python3
export PYTHON

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

env: ## Make .venv with the pinned requirements, without building
	@$(PYTHON) scripts/bootstrap.py ros runtime demo dev

build: ## Make .venv and build both packages into install/
	@scripts/build runtime demo

demo: ## Run a trained policy on the simulated robot; results in out/demo/
	@scripts/build runtime demo
	@scripts/run bc demo $(ARGS)

test: ## Run all tests, with lint and type checks
	@scripts/build runtime demo dev
	@BC_REQUIRE_ROS=1 scripts/run python -m pytest -m 'not faults' $(ARGS)

test-all: ## Run all tests, also those that need torch or LeRobot (two more environments)
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-train
	@$(MAKE) --no-print-directory test-lerobot

faults: ## Inject every fault of the matrix at RATES='100 200' Hz; writes docs/reference/faults.md
	@scripts/build runtime demo dev
	@$(if $(strip $(ARGS)),,rm -f out/faults.json)
	@status=0; tests=test/graph; for rate in $(RATES); do \
	  echo "control at $$rate Hz"; \
	  BC_REQUIRE_ROS=1 BC_TEST_RATE_HZ=$$rate scripts/run python -m pytest $$tests $(ARGS) || status=$$?; \
	  tests=$$(echo test/graph/test_faults_*.py); \
	done; scripts/run python scripts/fault_table.py || exit 1; exit $$status

soak: ## Inject random faults for SOAK=10min while a policy runs; writes out/soak.json
	@scripts/build runtime demo dev
	@scripts/run python test/graph/soak.py --duration $(SOAK) $(ARGS)

soak-core: ## Drive the control loop alone through random sequences, TICKS=10000000 of them
	@scripts/build runtime demo dev
	@scripts/run python test/sequences/sequence_fuzz.py --ticks $(TICKS) $(ARGS)

test-train: ## Run the tests of training and export, which need torch
	@scripts/build runtime demo
	@$(PYTHON) scripts/bootstrap.py --venv .venv-train runtime demo train dev
	@BC_VENV="$(CURDIR)/.venv-train" scripts/run python -m pytest test/training test/export $(ARGS)

test-lerobot: ## Run the tests of exporting LeRobot checkpoints, which need LeRobot
	@scripts/build runtime demo
	@$(PYTHON) scripts/bootstrap.py --venv .venv-lerobot runtime lerobot dev
	@.venv-lerobot/bin/python -m pip install -q --disable-pip-version-check --no-deps -r requirements/lerobot-alone.txt
	@BC_VENV="$(CURDIR)/.venv-lerobot" scripts/run python -m pytest test/export $(ARGS)

lint: ## Check style, types, spelling and the rules of imports
	@scripts/build runtime demo dev
	@scripts/run python -m pytest test/test_lint.py test/test_architecture.py -q $(ARGS)

format: ## Rewrite the code in the project's style
	@scripts/build runtime demo dev
	@scripts/run ruff check --fix-only --quiet .
	@scripts/run ruff format .

bench: ## Measure: every file in benchmarks/, or the one named by ARGS
	@scripts/build runtime demo dev
	@scripts/bench $(ARGS)

train: ## Train the shipped policy again (torch, in an environment of its own)
	@scripts/build runtime demo
	@$(PYTHON) scripts/bootstrap.py --venv .venv-train runtime demo train
	@BC_VENV="$(CURDIR)/.venv-train" scripts/run bc train $(ARGS)

models: ## Train and export every model in models/ again, seeded; hours on one core
	@scripts/build runtime demo
	@$(PYTHON) scripts/bootstrap.py --venv .venv-train runtime demo train
	@BC_VENV="$(CURDIR)/.venv-train" scripts/run bc train --family chunk --out $(ENCODER) $(ARGS)
	@for family in $(MODELS); do \
	  case $$family in steering) robot=lane_car;; *) robot=sim_arm;; esac; \
	  BC_VENV="$(CURDIR)/.venv-train" scripts/run bc train --family $$family --encoder $(ENCODER) \
	    --out models/$${robot}_$$family.onnx $(ARGS) || exit 1; \
	done

shell: ## Open a shell in which `bc`, `ros2` packages and the tests are found
	@scripts/build runtime demo dev
	@scripts/run

clean: ## Remove what was built and recorded; the environments stay
	@rm -rf build install log out .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## Remove the environments too
	@rm -rf .venv .venv-train .venv-lerobot
