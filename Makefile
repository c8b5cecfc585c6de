# Run `make` to see what there is.

GO       ?= go
FUZZTIME ?= 30s
SOAK     ?= 20
export GO FUZZTIME

PROGRAMS  := latchd latchctl latchhub
# Devices and hubs run Linux; operators sit anywhere, so latchctl goes everywhere.
PLATFORMS := linux-arm64 linux-arm linux-amd64
OPERATORS := darwin-arm64 darwin-amd64 windows-amd64

# Everything below is expanded only when a recipe runs, so that `make help` works without Go and without git.
STAMP = $(shell tools/stamp.sh)
HERE  = $(shell $(GO) env GOOS)-$(shell $(GO) env GOARCH)
LINT  = $(GO) tool -modfile=tools/go.mod

# $(call compile,<os>-<arch>,<programs>). The Raspberry Pi 1 and Zero are ARMv6; GOARM means nothing elsewhere.
# The stamp already names the commit, and -buildvcs=false keeps a tree with and one without .git alike.
# For the boards, where a card is small and memory dear, only the runtime and the cryptography are inlined: half a
# megabyte less. Of the cryptography not the curves' generic arithmetic, which is unrolled already: it gets smaller and
# not slower. test/arch builds alike.
GCFLAGS_linux-arm = -gcflags=all=-l -gcflags=runtime/...= -gcflags=internal/runtime/...= -gcflags=crypto/...= -gcflags=crypto/internal/fips140/nistec/fiat=-l
GCFLAGS_linux-arm64 = $(GCFLAGS_linux-arm)
compile = GOOS=$(word 1,$(subst -, ,$(1))) GOARCH=$(word 2,$(subst -, ,$(1))) GOARM=6 CGO_ENABLED=0 \
	$(GO) build -trimpath -buildvcs=false $(GCFLAGS_$(1)) -ldflags "-s -w $(STAMP)" -o build/$(1)/ $(addprefix ./cmd/,$(2))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: here ## the main job on this machine: hub, three devices, lock, reboot, jobs, a maintenance window (a minute or so)
	@LATCHD_BIN=build/$(HERE) exec test/demo/demo.sh

.PHONY: up
up: here ## the same hub and devices, to try things on, until Ctrl-C
	@LATCHD_BIN=build/$(HERE) exec test/demo/up.sh

.PHONY: test
test: need-go ## all tests, under the race detector where there is one
	@race=$$(tools/race-flag.sh) && set -x && $(GO) test $$race $(TESTFLAGS) ./...

.PHONY: interop
interop: here ## the official IoT Hub SDKs for Node against hub and agent (needs node, npm, openssl)
	@LATCHD_BIN=build/$(HERE) exec test/interop/run.sh

.PHONY: e2e
# From its own directory, because go test prints what a passing test prints only there.
e2e: here build-linux-arm64 build-linux-arm ## the package on an emulated Raspberry Pi, with a hub on this machine (some 15 minutes; root the first time)
	rm -f build/deb/latchd_*.deb && tools/deb.sh latchd arm64 build/linux-arm64 build/deb && tools/deb.sh latchd armhf build/linux-arm build/deb
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 $(GO) test -c -o build/pi/gpio.test ./gpio
	image=$$(test/pi/image.sh) && cd test/pi && LATCHD_PI_IMAGE=$$image LATCHD_PI_BUILD=$(CURDIR)/build LATCHD_PI_BIN=$(CURDIR)/build/$(HERE) \
		$(GO) test -count=1 -timeout 30m $(E2EFLAGS)

.PHONY: check
check: check-format check-vet check-staticcheck check-architecture check-modules check-shell check-packages ## format, vet, staticcheck, architecture, modules, shell scripts, packages
	@echo "check: all is well"

.PHONY: build
build: $(addprefix build-,$(PLATFORMS) $(OPERATORS)) ## all programs for all platforms, into build/<os>-<arch>/

.PHONY: here
here: need-go ## the three programs for this machine, into build/<os>-<arch>/
	@$(call compile,$(HERE),$(PROGRAMS))

.PHONY: deb
deb: $(addprefix build-,$(PLATFORMS)) ## Debian packages of the three programs for arm64, armhf and amd64, into build/deb/
	@rm -rf build/deb && for program in $(PROGRAMS); do \
		tools/deb.sh $$program arm64 build/linux-arm64 build/deb && \
		tools/deb.sh $$program armhf build/linux-arm build/deb && \
		tools/deb.sh $$program amd64 build/linux-amd64 build/deb || exit 1; done

.PHONY: repo
repo: deb ## a signed apt repository of them in build/repo/; APT_KEY names the key of gpg's to sign with
	@APT_KEY="$(APT_KEY)" tools/apt-repo.sh build/deb build/repo

.PHONY: bench
bench: need-go ## latchd beside the official Node device SDK, in figures (some 4 minutes; needs node)
	@test/bench/bench.sh $(BENCHFLAGS)

.PHONY: fuzz
fuzz: need-go ## every fuzz target for FUZZTIME each (30s)
	@tools/fuzz.sh

.PHONY: corpus
corpus: need-go ## keep the inputs that fuzzing found, for every later `make test`
	@tools/corpus.sh

.PHONY: zones
zones: need-go ## the embedded time zone data anew, from those of the Go toolchain
	cd internal/zone && $(GO) run ./generate

.PHONY: soak
# From its own directory, because go test prints what a passing test prints only there.
soak: need-go ## hundreds of reboots and of kills at random moments, with a table of figures (some 5 minutes)
	cd test/soak && LATCHD_SOAK=$(SOAK) $(GO) test -count=1 -timeout 60m
	LATCHD_SOAK=$(SOAK) $(GO) test -count=1 -timeout 60m ./test/late ./test/fleet ./hub/... ./agent/maintenance

.PHONY: clean
clean: ## remove what was built
	rm -rf build

.PHONY: need-go
need-go:
	@tools/need-go.sh

.PHONY: $(addprefix build-,$(PLATFORMS) $(OPERATORS))
$(addprefix build-,$(PLATFORMS)): build-%: need-go
	$(call compile,$*,$(PROGRAMS))
$(addprefix build-,$(OPERATORS)): build-%: need-go
	$(call compile,$*,latchctl)

.PHONY: check-format check-vet check-staticcheck check-architecture check-modules check-shell check-packages
check-format: need-go
	@bad=$$($(LINT) gofumpt -l .) && if [ -n "$$bad" ]; then \
		printf '%s\n' "not formatted (mend with: go tool -modfile=tools/go.mod gofumpt -w .):" "$$bad" >&2; exit 1; fi
check-vet: need-go
	$(GO) vet ./...
check-staticcheck: need-go
	$(LINT) staticcheck ./...
# Not from the cache: the compiler runs beneath these tests, and the cache does not see what it reads.
check-architecture: need-go
	$(GO) test -count=1 ./test/arch
# With -e, because tidy also wants the tests of the libraries' libraries, which not every proxy serves.
check-modules: need-go
	$(GO) mod tidy -e -diff
	cd tools && $(GO) mod tidy -e -diff
check-shell:
	@if command -v shellcheck >/dev/null; then set -x; shellcheck -x .ci/run tools/*.sh packaging/*/post* packaging/*/pre* packaging/*/pass-* test/bench/*.sh test/demo/*.sh test/interop/*.sh test/pi/*.sh test/pi/image/init test/pi/image/guest/usr/local/sbin/*; \
	else echo "shellcheck is not installed: the shell scripts are not checked"; fi
# One architecture, because what differs between them is the compiler's.
check-packages: build-linux-arm64
	tools/check-packages.sh
