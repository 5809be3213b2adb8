PYTHON ?= $(shell for one in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$one -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$one && break; done)
VENV = .venv
READY = $(VENV)/.ready

demo: $(READY)  ## set up, start the sandbox, run the main job, say where the report is
	$(VENV)/bin/invsync demo

test: $(READY)  ## set up, lint, type-check and run all tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest -n 2 --dist loadfile --ignore tests/campaign

CAMPAIGN = $(addprefix tests/campaign/test_,$(addsuffix .py,crash commits compete refused kernel wheel sample_made planted_secrets jupyterlab servers state_servers airflow prometheus))
WORLDS = $(addprefix tests/campaign/test_,$(addsuffix .py,matrix worlds lives damaged))

campaign: $(READY)  ## crashes at every step and commit, two machines that compete, refusals, the token, servers, Airflow, random worlds, damaged exports
	$(VENV)/bin/pytest -n 2 --dist loadfile -rP --timeout 1500 $(CAMPAIGN)
	$(VENV)/bin/pytest -n 2 --dist worksteal -rP --timeout 1500 $(WORLDS)

systems: $(READY)  ## weeks of real sales, 5,000 runs in one process, nine months, a million pairs, webhooks under load, each rule of the ledger removed
	$(VENV)/bin/pytest -s tests/campaign $(addprefix --ignore ,$(CAMPAIGN) $(WORLDS))

docs: $(READY)  ## the documentation site, strictly, into build/docs
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

image: $(READY)  ## the container image, built or made step by step, and the services of docs/deploy/compose.yaml
	$(VENV)/bin/pytest -rP --timeout 1500 tests/campaign/test_image.py

sbom:  ## what a production environment holds, as a CycloneDX bill of materials in build/sbom
	rm -rf build/sbom
	$(PYTHON) -m venv --without-pip build/sbom/environment
	$(PYTHON) -m pip --python build/sbom/environment/bin/python install --quiet --constraint constraints.txt '.[alerts,mysql,postgresql,schedule,serve,telemetry]'
	$(PYTHON) -m venv build/sbom/tool
	build/sbom/tool/bin/python -m pip install --quiet --constraint constraints.txt cyclonedx-bom
	build/sbom/tool/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible --output-file build/sbom/invsync.cdx.json build/sbom/environment/bin/python

mutants: $(READY)  ## the core with one expression changed at a time: which changes its tests do not notice
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[mutants]'
	POLARS_MAX_THREADS=1 $(VENV)/bin/python -m tests.mutants run --max-children 1

audit:  ## known vulnerabilities of the pinned packages, asked of PyPI
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	build/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off

bench:  ## the speed of it beside its peers, in an environment as lean as one that runs jobs
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(VENV)/bench/bin/python -m tests.bench

sample: $(READY)  ## make reports/sample anew
	$(VENV)/bin/python reports/sample/make.py

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.14 is on the path: install one, or say make PYTHON=/path/to/python."; exit 1; }
	@echo "Setting up with $$($(PYTHON) --version) ($(PYTHON))"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build demo mutants

.PHONY: demo test campaign systems docs image sbom mutants audit bench sample clean
