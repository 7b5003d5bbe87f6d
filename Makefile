# Every target says what it is for: make help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --match 'v*' --dirty 2>/dev/null)
COMMIT ?= $(shell git rev-parse --verify --quiet HEAD 2>/dev/null)
LDFLAGS := -s -w -X slipway/steps.linkedVersion=$(VERSION:v%=%) -X slipway/steps.linkedCommit=$(COMMIT)
BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
TOOL := go tool -modfile=tools.mod
FUZZTIME ?= 30s
NO_DWARF := -gcflags=all=-dwarf=false
DIST ?= dist
PLATFORMS ?= linux-amd64 linux-arm64 darwin-arm64
# The toolchain of releases and of the agent image: one pin for both.
GO_VERSION := $(shell sed -n 's/^ARG GO_IMAGE=.*golang://p' agent-image/Dockerfile)
# The versions of the binary that the library of this commit calls.
LIBRARY_VERSIONS := $(shell sed -n "s/^@Field final String VERSIONS = '\(.*\)'$$/\1/p" jenkins-library/vars/slipway.groovy)

# make image: what builds it, what it is called, and what it is made of.
ENGINE ?= $(shell docker info >/dev/null 2>&1 && echo docker || basename "$$(command -v buildah || command -v podman || echo docker)")
IMAGE ?= slipway-agent:$(or $(VERSION:v%=%),dev)
CREATED ?= $(shell git log -1 --format=%cI 2>/dev/null)
IMAGE_ARGS = VERSION=$(VERSION:v%=%) COMMIT=$(COMMIT) CREATED=$(CREATED) $(if $(SHA256),BINARY_FROM=prebuilt SHA256=$(SHA256)) \
	$(foreach arg,BASE GO_IMAGE GOPROXY,$(if $($(arg)),$(arg)=$($(arg))))

.PHONY: help build build-all image image-engine test race test-library test-library-mutants test-image test-release chromium lint fmt generate demo demo-servers transcript e2e bench fuzz release sbom vulncheck clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-20s %s\n", $$1, $$2 }' Makefile

build: ## build the static binary for this machine: bin/slipway
	$(BUILD) -o bin/slipway .

build-all: build-linux-amd64 build-linux-arm64 ## build the static binaries for Linux on amd64 and arm64: dist/

build-%:
	GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) $(BUILD) -o $(DIST)/slipway-$* .

image: image-engine ## build the agent image with docker, buildah or podman; BASE, GO_IMAGE, GOPROXY, ARCH, IMAGE, SHA256: see agent-image/
	$(ENGINE) build $(IMAGE_FLAGS) $(if $(ARCH),--platform linux/$(ARCH)) $(IMAGE_ARGS:%=--build-arg %) \
		-f agent-image/Dockerfile -t $(IMAGE) $(if $(SHA256),$(DIST),.)

image-engine:
	@command -v $(firstword $(ENGINE)) >/dev/null || ! command -v apt-get >/dev/null || \
		(apt-get update -qq && apt-get install -y -qq --no-install-recommends buildah)

# One way to compile for all of these but the race detector's, since packages that are compiled in two ways are compiled twice:
# what no debugger will see needs no debug information, which is a sixteenth of the work.
lint test-library test-library-mutants test-image demo demo-servers transcript e2e: export CGO_ENABLED := 0
lint test-library test-library-mutants test-image demo demo-servers transcript e2e: export GOFLAGS := $(GOFLAGS) -trimpath $(NO_DWARF)
test race: export GOFLAGS := $(GOFLAGS) $(NO_DWARF)

# make lint vets. To vet a test go test vets everything that it imports, which takes a minute where nothing is cached.
test: chromium ## run all tests, Go's under the race detector; a few more where strace, gpg and ssh-keygen are installed
	@$(MAKE) --no-print-directory race & trap "wait $$!" EXIT; $(MAKE) --no-print-directory test-library # which waits more than it works
	go test -vet=off -race -parallel 8 -timeout 25m ./...

race: ## compile for the race detector what make test needs, as long as nobody else wants the processor
	@GOGC=400 nice -n 19 go build -race ./...

chromium: ## install the browser that the tests look at pages with, where it is missing and apt-get is there
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || \
		(apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium)

test-library: ## run the tests of the Jenkins library, in emulation; installs Debian's groovy where there is none
	jenkins-library/test/run tests

test-library-mutants: ## break the Jenkins library in many ways, and see that its tests notice
	jenkins-library/test/run mutants

test-image: image-engine ## build the agent image and run every step in it; needs root, buildah and busybox, and installs them with apt-get
	@command -v buildah >/dev/null && command -v busybox >/dev/null || ! command -v apt-get >/dev/null || \
		(apt-get update -qq && apt-get install -y -qq --no-install-recommends buildah busybox-static)
	go test -vet=off -tags image -timeout 20m ./agent-image

test-release: ## make the release of HEAD twice, in two places and once without a build cache, and compare; takes minutes
	go test -tags release -timeout 40m ./release

lint: ## check formatting, layers and the rest of .golangci.yml
	$(TOOL) golangci-lint run
	linter=$$($(TOOL) -n golangci-lint) && cd e2e && "$$linter" run ./...

vulncheck: ## look for known vulnerabilities in what the binary calls; needs the network: https://vuln.go.dev
	$(TOOL) govulncheck .

fmt: ## format the code
	$(TOOL) golangci-lint fmt

generate: ## write docs/reference.md and docs/slipway.1 from the flags
	go generate ./...

demo: ## release and revert, for real, on a Git server and an Argo CD on loopback
	go run ./examples/demo

demo-servers: ## the servers of the demo, until Ctrl-C, to try slipway with
	go run ./examples/demo -serve

transcript: ## the same, and show a part of the run in README.md and README.zh-CN.md
	go run ./examples/demo README.md README.zh-CN.md

e2e: ## tell stories in front of the real Argo CD and Kubernetes, which are built first; needs etcd and redis-server
	cd e2e && go test -vet=off -count=1 -timeout 40m

bench: ## compare with the git and kustomize command lines, which takes a while
	go run ./bench

fuzz: ## run each fuzz target for FUZZTIME
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r package; do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' "$$package"/*_test.go | cut -c6-); do \
			echo "$$package $$target"; \
			go test "$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME); \
		done; \
	done

sbom: build ## write what is in bin/slipway as CycloneDX: bin/slipway.cdx.json
	go run ./release/sbom bin/slipway '$(or $(VERSION),0.0.0-dev)' > bin/slipway.cdx.json

release: export GOTOOLCHAIN := go$(GO_VERSION)
release: ## make what is published of the version that HEAD is tagged with: binaries, SBOMs, VEX, changelog, checksums: dist/
	@[[ '$(VERSION)' =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?$$ ]] || { \
		echo "release: '$(VERSION)' is no version: tag a clean HEAD first, as in git tag -a v1.4.0" >&2; exit 1; }
	@$(MAKE) --no-print-directory build
	@bin/slipway version --require '$(LIBRARY_VERSIONS)' >/dev/null || { \
		echo "release: raise VERSIONS in jenkins-library/vars/slipway.groovy, or nobody's library calls this version" >&2; exit 1; }
	rm -rf $(DIST)
	mkdir -p $(DIST)
	@for platform in $(PLATFORMS); do \
		$(MAKE) --no-print-directory build-$$platform; \
		go run ./release/sbom $(DIST)/slipway-$$platform '$(VERSION)' '$(CREATED)' > $(DIST)/slipway-$$platform.cdx.json; \
	done
	cp agent-image/slipway.openvex.json $(DIST)
	release/changelog.sh '$(VERSION)' > $(DIST)/CHANGELOG.md
	cd $(DIST) && sha256sum * > SHA256SUMS

clean: ## remove what was built
	rm -rf bin dist
