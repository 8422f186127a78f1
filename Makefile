# What a newcomer needs: make run, make test. The rest is for working on the library.
GO      ?= go
MODULES := . hubspot/redisstore examples/frameworks internal/e2e internal/bench
TOOL    := $(GO) tool -modfile=$(CURDIR)/internal/tools/go.mod

.PHONY: run test test-root test-redisstore test-frameworks test-e2e skipped proof fuzz bench generate lint

# Tests have a HubSpot of their own, whatever a shell has exported for an application.
ifneq ($(filter-out run,$(MAKECMDGOALS)),)
unexport $(filter HUBSPOT_%,$(.VARIABLES))
endif

# The demo shop and the emulated HubSpot, on 127.0.0.1:8080 and :8081.
run:
	@echo "building the demo…"
	@$(GO) run ./examples/demo

# Every module's tests, in about two minutes. What is skipped for want of Chromium,
# npm, Redis, nginx, Varnish or Squid is said at the end; with CI=true that is a
# failure.
#
# Two at once: the store's tests wait for servers that are lost, while the root
# module's compute. The output of each comes when it has ended.
test: internal/e2e/node_modules examples/frameworks/node_modules
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-root test-redisstore test-frameworks
	@$(MAKE) --no-print-directory test-e2e
	@$(MAKE) --no-print-directory skipped

# go test says what it skips with -v only.
skipped:
	@has() { for program; do PATH="$$PATH:/usr/sbin" command -v "$$program" >/dev/null && return; done; false; }; \
	need() { what=$$1 package=$$2; shift 2; has "$$@" || echo "SKIPPED: $$what, since there is no $$package (Debian: apt-get install $$package)"; }; \
	need "all that a browser tests" chromium $${CHROMIUM:-chromium chromium-browser google-chrome}; \
	need "what is tested with Turbo, htmx and React" npm npm; \
	need "the shared store, and replicas, in a real Redis" redis-server redis-server; \
	for proxy in nginx varnish:varnishd squid; do need "pages behind $${proxy%:*}" $${proxy%:*} $${proxy#*:}; done

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
	elif [ "$$CI" = true ]; then echo "npm is missing, and required with CI=true"; exit 1; fi

# A count of inputs (about a minute, and 20 seconds) instead of a time: before Go
# 1.27, a run that its time ends may fail with "context deadline exceeded" and no
# finding (go.dev/issue/75804).
fuzz:
	$(GO) test -run '^$$' -fuzz FuzzHTML -fuzztime 200000x -fuzzminimizetime 20x ./snippet
	$(GO) test -run '^$$' -fuzz FuzzVisitorValidate -fuzztime 150000x -fuzzminimizetime 20x ./hubspot

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
