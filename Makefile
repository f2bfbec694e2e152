# Everything that is done to this project by hand or by CI. `make` alone lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run demo storm flood joins agents builds chaos hostile soak idp test former flaky benchmark lint fmt generate web dist page verify build clean

# Overridable: make test PACKAGES=./internal/plan/... TESTFLAGS='-run Change -v'
PACKAGES ?= ./...
TESTFLAGS ?=
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## set up what is missing and serve on 127.0.0.1:3000, with a database of its own
	@internal/tools/setup.sh run
	./layercake serve $(ARGS)

demo: build ## three replicas on 127.0.0.1:3001 to 3003 over one database of their own
	@internal/tools/setup.sh run
	./layercake demo $(ARGS)

storm: build ## load a running demo and check that every subscriber gets every change
	./layercake bench storm $(ARGS)

flood: build ## move cursors in a running demo as fast as the limit lets them, and faster, and check that everybody sees them
	./layercake bench flood $(ARGS)

joins: build ## let many people join a running demo at once, and check that each is answered and sees all others
	./layercake bench joins $(ARGS)

agents: build ## let many agents edit and follow the plans of a running demo, and check that each is told of every change
	./layercake bench agents $(ARGS)

builds: build ## build graphs over a deployment of its own, kill those that build, and check every result (ARGS='--rows 1000000 --replicas 10')
	@internal/tools/setup.sh run
	./layercake bench builds $(ARGS)

chaos: build ## kill, stop and cut off parts of a deployment of its own, and check that nothing is lost (ARGS='--seed 7')
	@internal/tools/setup.sh run
	./layercake bench chaos $(ARGS)

hostile: build ## attack a deployment of its own, and check that honest people notice nothing (ARGS='--list', or '--attack bodies-many')
	@internal/tools/setup.sh run
	./layercake bench hostile $(ARGS)

soak: build ## load a deployment of its own for minutes, and check that nothing grows (ARGS='--for 24h', or '--compress')
	@internal/tools/setup.sh run
	./layercake bench soak $(ARGS)

# Keycloak is a zip of 177 MB of Maven Central; it needs Java 17 or later, half a gigabyte of memory, and a minute or two until it is ready.
KEYCLOAK ?= .tools/keycloak-26.7.3
idp: $(KEYCLOAK)/bin/kc.sh ## get Keycloak, and try single sign-on with it
	@internal/tools/setup.sh run
	KEYCLOAK='$(abspath $(KEYCLOAK))' go test ./internal/oidc -run '^TestKeycloak$$' -v -count 1 -timeout 15m $(TESTFLAGS)

# Without a project, Maven notes what it has unpacked below the folder that it runs in.
$(KEYCLOAK)/bin/kc.sh:
	cd '$(dir $(KEYCLOAK))' && mvn -q -B dependency:unpack -Dartifact=org.keycloak:keycloak-quarkus-dist:26.7.3:zip -DoutputDirectory=.
	chmod +x '$@'
	@touch '$@'

# Most tests wait for a database or for another process, so more of them run at once in a package than there are processors.
testing = -race -parallel 4 -timeout 10m

# A test that fails is run again, at most twice, and at most 5 tests; those that needed it are named at the end. Running tests again must
# not hide what is no test. gotestsum gives up after a data race, a panic (also that of a time-out) or a failed build; the report fails when
# a package failed beyond its tests, in TestMain or because its process ended, which gotestsum takes for mended.
test: .tools/gotestsum .tools/flaky ## set up what is missing and run every test with the race detector
	@internal/tools/setup.sh test
	$(if $(filter ./...,$(PACKAGES)),go test -C internal/deploy/composetest)
	@rm -f .tools/test.json
	.tools/gotestsum --format $(if $(filter -v,$(TESTFLAGS)),standard-verbose,standard-quiet) --hide-summary skipped \
		--rerun-fails=2 --rerun-fails-max-failures=5 --rerun-fails-abort-on-data-race --jsonfile .tools/test.json \
		--packages '$(PACKAGES)' -- $(testing) $(TESTFLAGS); \
	status=$$?; .tools/flaky report .tools/test.json && exit $$status

# The commit before accounts came to the schema.
FORMER ?= $(shell git log --diff-filter=A --format=%H -1 -- migrations/00027_accounts.sql)^

former: ## build the release that knows no accounts, and let it serve beside this one
	@internal/tools/setup.sh test
	rm -rf .tools/former && mkdir -p .tools/former && git archive $(FORMER) | tar -x -C .tools/former
	go build -C .tools/former -o former ./cmd/layercake
	LAYERCAKE_FORMER='$(CURDIR)/.tools/former/former' go test -race -count 1 -tags former -run Beside $(TESTFLAGS) ./internal/server

flaky: .tools/flaky ## run the tests again and again beside two busy loops, and list those that fail now and then (ARGS='-n 20')
	@internal/tools/setup.sh test
	.tools/flaky loop $(ARGS) -- $(testing) $(TESTFLAGS) $(PACKAGES)

benchmark: ## run the Go benchmarks
	@internal/tools/setup.sh run
	go test -run '^$$' -bench . -benchmem $(TESTFLAGS) $(PACKAGES)

# gqlgen writes the resolvers' imports in its own way, again each time.
handwritten = find cmd graph internal migrations -name node_modules -prune -o -name '*.go' \
	! -name '*.generated.go' ! -name '*.resolvers.go' ! -path 'internal/db/*' -print

lint: .tools/golangci-lint .tools/gofumpt ## look for mistakes, forbidden imports and unformatted files
	.tools/golangci-lint run --allow-serial-runners
	@unformatted=$$(.tools/gofumpt -l $$($(handwritten))); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi

fmt: .tools/gofumpt ## format the Go files
	.tools/gofumpt -w $$($(handwritten))

generate: .tools/sqlc ## make the Go code of sql/ and graph/schema/
	.tools/sqlc generate
	go tool gqlgen generate --config graph/gqlgen.yml

web: dist ## build the page and the client of internal/web, and check and test them
	npm --prefix internal/web run --silent check
	npm --prefix internal/web run --silent test

# dist is committed, so that building the server needs no Node. What solves a merge conflict in it is this.
dist:
	@internal/tools/setup.sh web
	npm --prefix internal/web run --silent generate
	npm --prefix internal/web run --silent build

page: ## print what the page takes in a browser: SECONDS of each gesture, MEMORY_SECONDS of many changes
	@internal/tools/setup.sh test
	go test ./internal/web -run '^$$' -bench Page -benchtime 1x -timeout 2h

# Compares with the tree rather than with the last commit: verify holds in the middle of work, too.
checksums = find internal/db graph internal/web/dist -type f \( -name '*.go' -o -path '*/dist/*' \) -exec cksum {} + | sort -k 3
verify: .tools/sqlc ## fail when the generated code, or the page, is not current
	@$(checksums) >.tools/generated
	@$(MAKE) --no-print-directory generate dist
	@$(checksums) | diff .tools/generated - || { echo "generated code was out of date; it is current now"; exit 1; }

build: ## build ./layercake
	go build -o layercake ./cmd/layercake

clean: ## remove what was built (data and caches stay)
	rm -rf layercake .tools internal/npmtest/node_modules internal/npmtest/mcp/node_modules internal/web/node_modules internal/pytest/venv

# Tools have modules of their own, so that their dependencies do not become ours.
.tools/sqlc: PROGRAM = github.com/sqlc-dev/sqlc/cmd/sqlc
.tools/golangci-lint: PROGRAM = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
.tools/gofumpt: PROGRAM = mvdan.cc/gofumpt
.tools/gotestsum: PROGRAM = gotest.tools/gotestsum
.tools/%: internal/tools/%/go.sum
	@mkdir -p .tools
	CGO_ENABLED=0 go build -C internal/tools/$* -o '$(CURDIR)/$@' $(PROGRAM)
	@touch $@

.tools/flaky: $(wildcard internal/tools/flaky/*.go internal/child/*.go)
	@mkdir -p .tools
	CGO_ENABLED=0 go build -o $@ ./internal/tools/flaky
