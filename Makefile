# What a newcomer needs: make run, make test. The rest is for working on the library.
GO      ?= go
MODULES := . hubspot/redisstore internal/e2e
TOOL    := $(GO) tool -modfile=$(CURDIR)/internal/tools/go.mod

.PHONY: run test short fuzz bench generate lint

# The demo shop and the emulated HubSpot, on 127.0.0.1:8080 and :8081.
run:
	$(GO) run ./examples/demo

# Every module's tests. The browser tests say so when they are skipped for want
# of Chromium or npm; with CI=true that is a failure.
test: internal/e2e/node_modules
	@set -e; for module in $(MODULES); do \
		echo "== go test $$module"; \
		(cd $$module && $(GO) test -race -shuffle=on -timeout=25m ./...); \
	done

# The same without the simulations that take minutes.
short:
	$(GO) test -race -shuffle=on -short ./...

internal/e2e/node_modules: internal/e2e/package-lock.json
	@if command -v npm >/dev/null; then cd internal/e2e && npm ci --silent && touch node_modules; \
	elif [ "$$CI" = true ]; then echo "npm is missing, and required with CI=true"; exit 1; \
	else echo "SKIPPED: the browser tests with Turbo and htmx, since there is no npm (Debian: apt-get install npm)"; fi

fuzz:
	$(GO) test -run '^$$' -fuzz FuzzHTML -fuzztime 60s -fuzzminimizetime 20x ./snippet
	$(GO) test -run '^$$' -fuzz FuzzVisitorValidate -fuzztime 20s -fuzzminimizetime 20x ./hubspot

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

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
	@$(TOOL) esbuild snippet/chat.js --bundle --format=iife --minify --target=es2018 --log-level=warning | cmp - snippet/chat.min.js
