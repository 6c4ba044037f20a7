.DEFAULT_GOAL := help
.PHONY: help fmt lint test race bench-once integration fuzz-short demo

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r t h; do printf '  %-13s %s\n' "$$t" "$$h"; done

fmt: ## format all Go files
	go fmt ./...
	go -C tools fmt ./...

lint: ## vet and staticcheck
	go vet ./...
	go -C tools build -o ../.cache/bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	.cache/bin/staticcheck ./...

test: ## everything that must hold before a change lands; what CI runs
	scripts/test

race: ## all tests with the race detector; without the servers that are not installed
	go test -race ./...

bench-once: ## each benchmark once, to see that it runs
	go test -run '^$$' -bench . -benchtime 1x ./...

integration: ## the tests that need real servers
	scripts/setup
	STRATA_REQUIRE_SERVERS=1 go test -race ./internal/server/... ./backend/... ./invalidation/... ./integration/...

fuzz-short: ## each fuzz test for ten seconds
	scripts/fuzz 10s

demo: ## three nodes, a slow source, and what the cache does for them
	go run ./cmd/strata demo
