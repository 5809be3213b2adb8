PYTHON ?= python3.11
VENV = .venv
READY = $(VENV)/.ready

demo: $(READY)  ## set up, start the sandbox, run the main job, say where the report is
	$(VENV)/bin/invsync demo

test: $(READY)  ## set up, lint, type-check and run all tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest --ignore tests/campaign

campaign: $(READY)  ## long campaigns: crashes, random worlds, weeks of real sales, servers, webhooks under load
	$(VENV)/bin/pytest -s tests/campaign/test_realtime.py
	$(VENV)/bin/pytest -n 2 --dist worksteal -rP --timeout 2400 tests/campaign --ignore tests/campaign/test_realtime.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo

.PHONY: demo test campaign clean
