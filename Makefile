# `make run` starts Patchsift, `make test` tests it. Both make what they need first, in .venv.
# ARGS goes to the command: make run ARGS="--port 9000", make test ARGS="tests/diffs -x".

.DEFAULT_GOAL := help
.PHONY: help run test check format editor prove-exports prove-exports-all clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F '|' '{ printf "%-22s %s\n", $$1, $$2 }'

run:  ## Start Patchsift and open it in the browser
	@scripts/environment run
	@exec .venv/bin/patchsift serve $(ARGS)

test:  ## Run every test, on SQLite and PostgreSQL, in a real browser
	@scripts/environment test
	@scripts/chromium
	@exec .venv/bin/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

check:  ## Formatter, linter, types, layers, templates
	@scripts/environment check
	@exec scripts/check

format:  ## Format code and templates, mend what the linter can mend
	@scripts/environment check
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .
	@.venv/bin/djlint templates --reformat --quiet

editor:  ## Rebuild static/vendor/editor.js (needs Node 20 and npm)
	@exec scripts/editor

prove-exports:  ## Train two steps from every file of a release with TRL, transformers, scikit-learn (LOGS=folder: of yours)
	@exec scripts/prove trl -- $(if $(LOGS),--logs "$(LOGS)") $(ARGS)

prove-exports-all:  ## The same, and with LLaMA-Factory and axolotl (5 GB more)
	@exec scripts/prove trl llamafactory axolotl -- $(if $(LOGS),--logs "$(LOGS)") $(ARGS)

clean:  ## Remove the environment and every cache; your data stays
	@rm -rf .venv .venv-prove-* .prove build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tools/editor/node_modules
