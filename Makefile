# The short front door. `make` builds and installs nothing; `make setup` installs what is missing.
# Everything here is a thin line over CMake presets and tools/; `make help` lists the targets.
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 10
SOAK_SECONDS ?= 600
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export JOBS FUZZ_SECONDS

.PHONY: all help setup run test bench bench-wire bench-streams bench-envoy soak-envoy soak-envoy-asan storm fuzz check install clean
.DEFAULT_GOAL := all

all: ## build release into build/ (build/weir); names what is missing
	@tools/missing.sh
	@tools/build.sh release

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: ## install what is missing (asks for root only then)
	@tools/setup.sh build test check

run: ## install what is missing, build, serve examples/quickstart.yaml with the mock provider
	@tools/setup.sh build
	@tools/build.sh release
	@tools/run.sh

test: ## install what is missing, then every test: unit, vectors, sockets, end to end
	@tools/setup.sh build test
	@tools/test.sh

bench: ## side by side with nginx and HAProxy; writes bench/RESULTS.md
	@tools/setup.sh build bench
	@tools/build.sh release
	@bench/run.py

bench-wire: ## TLS and HTTP/2 beside nginx and HAProxy, five minutes; writes a part of bench/WIRE.md
	@tools/setup.sh build bench
	@tools/build.sh release
	@bench/wire.py

bench-streams: ## 10,000 streams over TLS on one core, two minutes; writes a part of bench/WIRE.md
	@tools/setup.sh build bench
	@tools/build.sh release
	@bench/streams.py

storm: ## 1,000 reloads and 50 upgrades under load with 200 open streams; writes a part of bench/WIRE.md
	@tools/setup.sh build test
	@tools/build.sh release
	@bench/storm.py

bench-envoy: ## inside Envoy beside Envoy alone, six minutes; writes bench/ENVOY.md
	@tools/setup.sh build bench test
	@tools/build.sh release
	@.venv/bin/python bench/envoy.py

soak-envoy: ## mixed traffic with faults inside Envoy for ten minutes (SOAK_SECONDS=600); writes bench/SOAK.md
	@tools/setup.sh build test
	@tools/build.sh release
	@.venv/bin/python bench/soak_envoy.py --seconds $(SOAK_SECONDS)

soak-envoy-asan: ## the same with the module of the preset asan: accesses and leaks are checked
	@tools/setup.sh build test
	@tools/build.sh release
	@tools/build.sh asan
	@.venv/bin/python bench/soak_envoy.py --seconds $(SOAK_SECONDS) --sanitized

fuzz: ## every fuzz target for FUZZ_SECONDS (10) each
	@tools/setup.sh build check
	@tools/fuzz.sh

check: ## format, lint, include directions, purity, generated docs
	@tools/setup.sh build check
	@tools/check.sh

install: all ## install into $(DESTDIR)$(PREFIX)
	@DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

clean: ## remove build/
	rm -rf build
