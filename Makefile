# What a newcomer needs: make run, make test. The rest is for working on the library.
GO      ?= go
MODULES := . hubspot/redisstore examples/frameworks internal/e2e internal/bench
TOOL    := $(GO) tool -modfile=$(CURDIR)/internal/tools/go.mod

.PHONY: run test test-root test-redisstore test-frameworks test-e2e proof fuzz bench generate lint

# The demo shop and the emulated HubSpot, on 127.0.0.1:8080 and :8081.
run:
	@echo "building the demo…"
	@$(GO) run ./examples/demo

# Every module's tests, in about two minutes. Tests that need Chromium, npm, Redis,
# nginx, Varnish or Squid say so when they are skipped for want of it; with CI=true
# that is a failure.
#
# Two at once: the store's tests wait for servers that are lost, while the root
# module's compute. The output of each comes when it has ended.
test: internal/e2e/node_modules examples/frameworks/node_modules
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-root test-redisstore test-frameworks
	@$(MAKE) --no-print-directory test-e2e

test-root:
	$(GO) test -race -shuffle=on -timeout=5m ./...
test-redisstore:
	cd hubspot/redisstore && $(GO) test -race -shuffle=on -parallel=4 -timeout=5m ./...
test-frameworks: examples/frameworks/node_modules
	cd examples/frameworks && $(GO) test -race -shuffle=on -timeout=5m ./...
test-e2e: internal/e2e/node_modules
	cd internal/e2e && $(GO) test -shuffle=on -timeout=10m ./...

# What takes longer: whole populations in simulated days, schedules by the
# thousand, and fuzzing.
proof: internal/e2e/node_modules
	PROOF=1 $(GO) test -race -timeout=30m -run 'Herd|Storm|Days|Outage|AccountError|Bounds|WrongIdentity' ./hubspot
	cd hubspot/redisstore && PROOF=1 $(GO) test -race -timeout=5m -run 'Failover|ShareTokens' .
	cd internal/e2e && PROOF=1 $(GO) test -timeout=20m -run 'Schedules|Damage|Weight|RunTime|WidgetFacts|CachesInTheBrowser|ForEverybody|Stories|SwitchesInOne|SomebodyElse' ./...
	$(MAKE) fuzz

internal/e2e/node_modules examples/frameworks/node_modules: %/node_modules: %/package-lock.json
	@if command -v npm >/dev/null; then cd $* && npm ci --silent && touch node_modules; \
	elif [ "$$CI" = true ]; then echo "npm is missing, and required with CI=true"; exit 1; \
	else echo "SKIPPED: what $* tests with Turbo, htmx and React, since there is no npm (Debian: apt-get install npm)"; fi

fuzz:
	$(GO) test -run '^$$' -fuzz FuzzHTML -fuzztime 60s -fuzzminimizetime 20x ./snippet
	$(GO) test -run '^$$' -fuzz FuzzVisitorValidate -fuzztime 20s -fuzzminimizetime 20x ./hubspot

# The library beside its peers, in one run; it fails when an allocation goal is missed.
bench:
	cd internal/bench && $(GO) run .

generate:
	$(GO) generate ./snippet

# gofmt, vet, staticcheck, and what is generated or tidied is up to date.
lint:
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	@set -e; for module in $(MODULES); do \
		echo "== lint $$module"; \
		(cd $$module && $(GO) vet ./... && $(TOOL) staticcheck ./... && $(GO) mod tidy -diff); \
	done
	@cd internal/tools && $(GO) mod tidy -diff
	@set -e; for script in chat launcher; do \
		$(TOOL) esbuild snippet/$$script.js --bundle --format=iife --minify --target=es2018 --log-level=warning | cmp - snippet/$$script.min.js; \
	done
