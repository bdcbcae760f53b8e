# Coldlift: one entry point. `make help` lists the targets.
#
# Three builds of the same sources: build/musl (what ships: static, from our own sysroot), build/asan (host
# libc under ASan and UBSan, for the tests) and build/host (host libc, optimised, for quick tries).

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
JOBS ?= $(shell nproc)
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2);)

# The mains; everything else is in the library, so that a test can reach it.
MAIN_SRC := src/cmd/migrator.c src/cmd/receiver.c src/cmd/pipeline.c
PROGRAMS := $(patsubst src/cmd/%.c,%,$(wildcard $(MAIN_SRC)))
LIB_SRC := $(sort $(filter-out $(MAIN_SRC),$(wildcard src/*/*.c)))
UNIT_TESTS := $(sort $(wildcard tests/unit/test_*.c))
FUZZERS := $(sort $(wildcard tests/fuzz/fuzz_*.c))

WARN := -Wall -Wextra -Wvla -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
BASE_CFLAGS := -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Isrc $(WARN) -pthread -MMD -MP
LIBS := -lmicrohttpd -lcurl -lbearssl -lext2fs -lcom_err -lblkid -ljansson -ldevmapper -lzstd -lz -llzma

# ---- flags of each build ----
musl_CC = $(SYSROOT)/bin/cc
musl_CFLAGS = -O2 -g -ffile-prefix-map=$(CURDIR)=. -I$(SYSROOT)/include
musl_LDFLAGS = -L$(SYSROOT)/lib -Wl,-z,stack-size=1048576
musl_LIBS = $(LIBS) -luuid -lz -lpthread -lm
asan_CC = gcc
asan_CFLAGS = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan_LDFLAGS = -fsanitize=address,undefined
asan_LIBS = $(LIBS) -lpthread -lm
host_CC = gcc
host_CFLAGS = -O2 -g
host_LDFLAGS =
host_LIBS = $(LIBS) -lpthread -lm

# The sysroot is asked for only when something of build/musl is wanted.
SYSROOT = $(eval SYSROOT := $$(shell rootfs/build --sysroot))$(SYSROOT)

define BUILD_RULES
$(1)_OBJ := $$(LIB_SRC:src/%.c=build/$(1)/obj/%.o)
build/$(1)/obj/%.o: src/%.c build/$(1)/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$$($(1)_CC) $$(BASE_CFLAGS) $$($(1)_CFLAGS) -c -o $$@ $$<
build/$(1)/libcoldlift.a: $$($(1)_OBJ)
	@rm -f $$@
	$$(call say,AR,$$@)ar rcsD $$@ $$^
$(PROGRAMS:%=build/$(1)/%): build/$(1)/%: build/$(1)/obj/cmd/%.o build/$(1)/libcoldlift.a
	$$(call say,LD,$$@)$$($(1)_CC) $$($(1)_LDFLAGS) -pthread -o $$@ $$^ $$($(1)_LIBS)
# A change of flags or compiler rebuilds.
build/$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$$($(1)_CC) $$(BASE_CFLAGS) $$($(1)_CFLAGS)' | cmp -s - $$@ || \
		echo '$$($(1)_CC) $$(BASE_CFLAGS) $$($(1)_CFLAGS)' > $$@
-include $$($(1)_OBJ:.o=.d) $$(MAIN_SRC:src/%.c=build/$(1)/obj/%.d)
endef
$(foreach b,musl asan host,$(eval $(call BUILD_RULES,$(b))))

.PHONY: all initramfs unit-tests fuzzers programs host-programs userland kernel iso pxe demo test bench fuzz lock setup help clean FORCE
.DEFAULT_GOAL := help

help: ## list the targets
	@echo 'Coldlift. Targets:'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo 'Variables: COLDLIFT_CACHE (where results are kept), V=1 (say each command), TESTS=pattern (for test)'

all: iso pxe ## the ISO, the PXE set and the receiver

setup:
	$(Q)tools/setup-host build

userland: setup ## third-party programs and libraries, static, from the cache or built
	$(Q)rootfs/build all

kernel: setup ## the live image's kernel, from the cache or built
	$(Q)kernel-config/build

programs: setup ## migrator, receiver and pipeline, static
	$(Q)rootfs/build --sysroot >/dev/null
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) $(PROGRAMS:%=build/musl/%)

host-programs: ## the programs against the host's libraries, for quick tries
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) $(PROGRAMS:%=build/host/%)

initramfs: setup
	$(Q)$(MAKE) --no-print-directory -j2 userland kernel
	$(Q)$(MAKE) --no-print-directory programs
	$(Q)initramfs/build

iso: initramfs ## build/coldlift.iso, boots from CD and USB stick, BIOS and UEFI
	$(Q)iso/build

pxe: initramfs ## build/pxe: kernel, initramfs, iPXE script, GRUB netboot config
	$(Q)iso/pxe

demo: ## a sample machine goes through an emulated cloud to an image, which boots; ends in one line of verdict
	$(Q)tools/setup-host build demo
	$(Q)$(MAKE) --no-print-directory iso
	$(Q)tests/e2e/demo

test: ## set-up and all tests; TESTS=pattern picks by path
	$(Q)tools/setup-host build test demo
	$(Q)$(MAKE) --no-print-directory iso pxe
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) unit-tests
	@# The first time, the sample machine takes longer to make than one test may take.
	$(if $(or $(if $(TESTS),,all),$(findstring vm,$(TESTS)),$(findstring migrate,$(TESTS))),$(Q)tests/sample/make >/dev/null)
	$(Q)tests/run $(TESTS)

# What the bench measures the machine by, with the code that ships.
build/musl/bench-limits: tests/bench/limits.c build/musl/libcoldlift.a
	$(call say,CC,$<)$(musl_CC) $(BASE_CFLAGS) $(musl_CFLAGS) $(musl_LDFLAGS) -o $@ $< \
		build/musl/libcoldlift.a $(musl_LIBS)

unit-tests: $(UNIT_TESTS:tests/unit/%.c=build/asan/tests/%) $(PROGRAMS:%=build/asan/%)

build/asan/tests/%: tests/unit/%.c build/asan/libcoldlift.a build/asan/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(asan_CC) $(BASE_CFLAGS) $(asan_CFLAGS) $(asan_LDFLAGS) -Itests/unit -o $@ $< \
		build/asan/libcoldlift.a -lcmocka $(asan_LIBS)
-include $(UNIT_TESTS:tests/unit/%.c=build/asan/tests/%.d)

# libFuzzer is clang's; the library is compiled once more with its coverage.
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
build/fuzz/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CLANG,$<)clang $(BASE_CFLAGS) $(FUZZ_FLAGS) -c -o $@ $<
build/fuzz/libcoldlift.a: $(LIB_SRC:src/%.c=build/fuzz/obj/%.o)
	@rm -f $@
	$(call say,AR,$@)ar rcsD $@ $^
build/fuzz/%: tests/fuzz/%.c build/fuzz/libcoldlift.a
	$(call say,CLANG,$<)clang $(BASE_CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< \
		build/fuzz/libcoldlift.a $(LIBS) -lpthread -lm
-include $(LIB_SRC:src/%.c=build/fuzz/obj/%.d)
fuzzers: $(FUZZERS:tests/fuzz/%.c=build/fuzz/%)

fuzz: ## run every fuzz target for a while (FUZZ_SECONDS, default 300 each)
	$(Q)tools/setup-host build test
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) fuzzers
	$(Q)for f in $(FUZZERS:tests/fuzz/fuzz_%.c=%); do tests/fuzz/run $$f $${FUZZ_SECONDS:-300} || exit 1; done

bench: ## time a copy over loopback against the usual tools; BENCH_RUNS=5
	$(Q)tools/setup-host build bench
	$(Q)$(MAKE) --no-print-directory programs
	$(Q)$(MAKE) --no-print-directory build/musl/bench-limits
	$(Q)tests/bench/run

lock: setup ## record the versions and hashes of all third-party sources
	$(Q)rootfs/fetch --lock

clean: ## remove build/ (the cache stays)
	rm -rf build

FORCE:
