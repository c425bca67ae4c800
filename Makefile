# `make demo` runs the main job, `make test` everything that is checked. Each sets up what it needs, once.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo quick test check lint types structure unit manifests manifests-live bench prove attack docs dashboards pictures training stack-down lock clean

# Without it every process of the tests recompiles the modules that it imports.
unexport PYTHONDONTWRITEBYTECODE

SOURCES := pyproject.toml requirements/uv.txt
WORKER := .venv/.worker
TESTING := .venv/.testing
TRAINING := .venv-training/.done

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(WORKER): $(SOURCES) requirements/worker.txt
	@deploy/setup/debian-packages java=openjdk-17-jre-headless mvn=maven
	@deploy/setup/venv requirements/worker.txt
	@touch $@

# The test environment contains the worker's packages and more: torch alone brings 5 GB.
$(TESTING): $(WORKER) requirements/test.txt
	@deploy/setup/debian-packages chromium=chromium chromedriver=chromium-driver promtool=prometheus prometheus-alertmanager=prometheus-alertmanager
	@deploy/setup/venv requirements/test.txt
	@touch $@

demo: $(WORKER) ## Photographs through Kafka, Triton and the policies, counted; KEEP=1 leaves the stack running
	@.venv/bin/watchword demo $(if $(KEEP),--keep)

quick: $(TESTING) ## Lint, types, structure and the unit tests, side by side: two minutes
	@$(MAKE) --no-print-directory -j4 unit types lint structure

# Three processes on two cores: many tests wait for a broker. Each has a broker and a Triton of its own.
test: $(TESTING) ## Lint, types, structure, and every test, on the real broker and Triton
	@$(MAKE) --no-print-directory -j3 check
	@.venv/bin/watchword stack install
	@OMP_NUM_THREADS=1 .venv/bin/pytest -n 3

check: lint types structure ## Lint, types and structure alone

lint: $(TESTING)
	@.venv/bin/ruff check -q pipeline watchword tests deploy/grafana
	@.venv/bin/ruff format -q --check pipeline watchword tests deploy/grafana

types: $(TESTING)
	@.venv/bin/mypy --no-error-summary

structure: $(TESTING)
	@.venv/bin/lint-imports --no-logo > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

unit: $(TESTING)
	@OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 tests/unit -m "not slow"

manifests: $(TESTING) ## The chart against the schemas of Kubernetes, KEDA and Prometheus, and compose; needs Go, the first time
	@deploy/setup/debian-packages docker-compose=docker-compose
	@deploy/setup/manifest-tools
	@.venv/bin/pytest tests/deploy/manifests.py tests/deploy/compose.py

manifests-live: manifests ## The chart against a real API server, built here the first time: ten minutes
	@deploy/setup/debian-packages etcd=etcd-server
	@deploy/setup/apiserver
	@.venv/bin/pytest tests/deploy/live.py

bench: $(TESTING) ## Ratios against this machine's own roofline, in one run
	@.venv/bin/python -m tests.bench.bench

prove: $(TESTING) ## The long tests: dozens of kills, outages, 50,000 images
	@.venv/bin/python -m tests.prove.prove

attack: $(TESTING) ## Hostile records, images, servers, answers and moments, against a scan; loopback only
	@.venv/bin/python -m tests.attack.attack

# An environment of its own: only training may know the sentence encoder, and needs a dictionary.
$(TRAINING): $(SOURCES) requirements/test.txt requirements/teacher.txt
	@deploy/setup/debian-packages /usr/share/wordnet/data.noun=wordnet-base
	@deploy/setup/venv requirements/test.txt .venv-training
	@deploy/setup/venv requirements/teacher.txt .venv-training
	@touch $@

training: $(TRAINING) ## The environment that trains with a sentence encoder: .venv-training

stack-down: ## End the local stack
	@.venv/bin/watchword stack down

docs: $(WORKER) ## Write the reference pages that are made from code
	@.venv/bin/watchword reference settings > docs/settings.md
	@.venv/bin/watchword reference metrics > docs/metrics.md
	@.venv/bin/watchword reference logs > docs/logs.md
	@.venv/bin/watchword policies schema > docs/policy.schema.json
	@.venv/bin/watchword reference events > docs/events.asyncapi.yaml
	@for kind in verdict flag embedding dead_letter decision release dead_letter_handling; do \
		.venv/bin/watchword reference $$kind > docs/schemas/$$kind.schema.json || exit 1; done

dashboards: $(TESTING) ## Write Grafana's dashboards from code, and draw each from a real run
	@.venv/bin/watchword stack install
	@.venv/bin/python -m tests.operate.draw

pictures: $(TESTING) ## Draw the pictures of README and docs again, from a real run
	@.venv/bin/watchword stack install
	@.venv/bin/python -m tests.support.pictures

lock: $(WORKER) ## Resolve the lock files again
	@deploy/setup/lock

clean: ## Remove environments and the stack's state
	rm -rf .venv .venv-training .watchword
