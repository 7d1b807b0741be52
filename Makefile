# SPDX-License-Identifier: Apache-2.0
#
# Builds everything out of tree, from this one file. `make help` lists the targets.
#
# Each folder of sources becomes one archive, build/<mode>/lib<folder>.a; the programs and the
# tests link archives in rank order. A unit test sees only its own folder and lower ranks, so a
# call upwards does not link. The mode directory is named after CC, SAN, COV, so that variants
# live beside each other: build/release, build/clang, build/asan, build/clang-asan, build/tsan.
#
# Knobs: V=1 (show commands)  CC=clang  SAN=address,undefined | thread  COV=1  W=1 (more warnings)
#        WERROR=1  TEST=glob (only tests whose path under tests/ matches)  JOBS=n (sub-makes, tests)
#        BUILD=dir (build root)  TEST_SIZE=small|full  TEST_TIMEOUT=s  DESTDIR=, PREFIX= (install)
# Local settings go into config.mk, which is not under version control.

-include config.mk

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
SHELL := /bin/bash

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
VERSION := $(file <VERSION)
# Only what hangs is to be ended by it: on a busy machine a test may take several times as long as alone.
TEST_TIMEOUT ?= 1800
FUZZ_SECONDS ?= 60
FUZZ_CI_SECONDS ?= 4
FUZZ_JOBS ?= 1

# ---- compiler, mode and flags ---------------------------------------------------------------

ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
endif
AR := ar
comma := ,
empty :=
space := $(empty) $(empty)
# Debian has no plain `clang` unless its default-version package is installed.
CLANG := $(shell command -v clang || echo clang-14)
CLANG_FORMAT := $(shell command -v clang-format-14 || echo clang-format)
# The independent reader's interpreter, with the libraries that scripts/bootstrap gave it.
PYTHON = $(shell scripts/bootstrap --venv)/bin/python
CLANG_TIDY := $(shell command -v clang-tidy-14 || echo clang-tidy)
ifeq ($(CC),clang)
override CC := $(CLANG)
endif
IS_CLANG := $(findstring clang,$(CC))
# What was compiled before comes from a cache, if there is one: by the hash of the source, of what it includes and of
# the flags, in whatever directory. CCACHE= compiles everything.
CCACHE ?= $(shell command -v ccache)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

SAN_NAME := $(if $(findstring address,$(SAN)),asan,$(if $(findstring thread,$(SAN)),tsan,$(subst $(comma),-,$(SAN))))
CC_NAME := $(if $(IS_CLANG),clang,$(filter-out gcc cc,$(notdir $(CC))))
MODE := $(subst $(space),-,$(strip $(CC_NAME) $(SAN_NAME) $(if $(COV),cov) $(if $(FUZZ),fuzz) $(if $(ANALYZE),analyze)))
MODE := $(or $(MODE),release)
B := $(BUILD)/$(MODE)

PKGS := libsodium libcurl libzstd libarchive sqlite3 libcrypto jansson smartcols expat yaml-0.1 libmicrohttpd fuse3
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CMOCKA_LIBS := $(shell pkg-config --libs cmocka 2>/dev/null)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wcast-qual \
	-Wimplicit-fallthrough -Wnull-dereference
ifdef W
WARNINGS += -Wswitch-enum -Wunused-macros -Wfloat-equal
ifeq ($(IS_CLANG),)
WARNINGS += -Wjump-misses-init -Wduplicated-cond -Wduplicated-branches -Wlogical-op
else
WARNINGS += -Wcomma -Wconditional-uninitialized -Wassign-enum
endif
endif

CPPFLAGS_OWN := -D_GNU_SOURCE -DAKSDR_VERSION=\"$(VERSION)\" -I. -I$(B)/gen \
	$(addprefix -include ,$(wildcard common/banned.h))
CFLAGS_OWN := -std=gnu17 -fno-common -fstack-protector-strong
CFLAGS ?= -O2 -g
LDFLAGS_OWN := -Wl,--as-needed -Wl,-z,relro -Wl,-z,now
FORTIFY := -D_FORTIFY_SOURCE=2

ifdef SAN
# The sanitizers see more without the fortified wrappers; gcc's flow warnings see paths in
# instrumented code that do not exist, so the plain builds alone are held to -Werror.
FORTIFY :=
CFLAGS_OWN += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_OWN += -fsanitize=$(SAN)
WARNINGS += -Wno-null-dereference
ifeq ($(IS_CLANG),)
WARNINGS += -Wno-maybe-uninitialized -Wno-stringop-overflow
endif
endif
ifdef FUZZ
FORTIFY :=
CFLAGS_OWN += -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_OWN += -fsanitize=address,undefined
endif
ifdef COV
FORTIFY :=
CFLAGS_OWN += --coverage -O0 -fprofile-update=atomic
LDFLAGS_OWN += --coverage
endif
ifdef ANALYZE
CFLAGS_OWN += -fanalyzer
endif
ifdef WERROR
ifeq ($(SAN)$(FUZZ)$(COV)$(ANALYZE),)
WARNINGS += -Werror
endif
endif

ALL_CFLAGS = $(CPPFLAGS_OWN) $(FORTIFY) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_OWN) $(WARNINGS)
ALL_LDFLAGS = $(CFLAGS) $(LDFLAGS_OWN) $(LDFLAGS)
# libwslay has no file for pkg-config.
LIBS = $(PKG_LIBS) -lwslay -lm

ifdef V
Q :=
say := @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

# ---- folders, in rank order -----------------------------------------------------------------

FOLDERS := common store kube snapshot repo catalog agent restore freezer
BELOW_common :=
BELOW_store := common
BELOW_kube := common
BELOW_snapshot := kube store common
BELOW_repo := store kube common
BELOW_catalog := repo snapshot store kube common
BELOW_agent := catalog repo snapshot store kube common
BELOW_restore := $(BELOW_agent)
BELOW_freezer := snapshot kube store common

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
# lib_srcs <folder>: what goes into its archive; prog_srcs <folder>: what its program adds
lib_srcs = $(filter-out $(1)/main.c $(1)/cmd_%.c,$(sort $(wildcard $(1)/*.c)))
prog_srcs = $(sort $(wildcard $(1)/main.c $(1)/cmd_*.c))
# archives <folder>...: those that have sources
archives = $(foreach f,$(1),$(if $(call lib_srcs,$f),$(B)/lib$f.a))
EVERYTHING := $(call archives,agent restore freezer $(BELOW_agent))

PROGRAMS := $(foreach f,agent restore catalog freezer,$(if $(wildcard $f/main.c),$(B)/aksdr-$f))
SRCS := $(foreach f,$(FOLDERS),$(sort $(wildcard $f/*.c)))
OBJS := $(call obj,$(SRCS))

.PHONY: all
all: $(PROGRAMS) $(EVERYTHING) ## build the programs (default)

# ---- compile and link -----------------------------------------------------------------------

.PHONY: FORCE
FORCE:

# write_if_changed <text>: a stamp moves only when its text does, so that a change of flags or
# of the list of sources rebuilds what it must, and nothing else
quote = '$(subst ','\'',$(1))'
write_if_changed = @mkdir -p $(@D) && { printf '%s\n' $(call quote,$(1)) | cmp -s - $@ || \
	printf '%s\n' $(call quote,$(1)) >$@; }

$(B)/stamp/flags: FORCE
	@pkg-config --exists --print-errors $(PKGS) cmocka || \
		{ echo "libraries are missing: run 'make bootstrap' (installs them on Debian 12)" >&2; exit 1; }
	$(call write_if_changed,$(CC) $(ALL_CFLAGS) | $(ALL_LDFLAGS) $(LIBS))

$(B)/obj/%.o: %.c $(B)/stamp/flags
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CCACHE) $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define folder_rules
$(B)/stamp/lib$(1): FORCE
	$$(call write_if_changed,$(call lib_srcs,$(1)))
$(B)/lib$(1).a: $(call obj,$(call lib_srcs,$(1))) $(B)/stamp/lib$(1)
	$$(say) AR $$@
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$(filter %.o,$$^)
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$f)))

define program_rules
$(B)/aksdr-$(1): $(call obj,$(call prog_srcs,$(1))) $(call archives,$(1) $(BELOW_$(1)))
	$$(say) LD $$@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $$@ $$^ $(LIBS)
endef
$(foreach f,agent restore catalog freezer,$(eval $(call program_rules,$f)))

# The catalog's SQL becomes C strings: catalog_schema (from schema.sql), one string a migration,
# and the table of migrations in order. A file's number is the digits that its name starts with.
# catalog/report/NAME.sql becomes catalog_report_NAME.
MIGRATIONS := $(sort $(wildcard catalog/migrate/*.sql))
REPORTS := $(sort $(wildcard catalog/report/*.sql))
SCHEMA := $(wildcard catalog/schema.sql)
GEN := $(if $(MIGRATIONS)$(SCHEMA),$(B)/gen/catalog/sql.gen.h)

$(B)/stamp/sql: FORCE
	$(call write_if_changed,$(SCHEMA) $(MIGRATIONS) $(REPORTS))

$(B)/gen/catalog/sql.gen.h: scripts/embed-sql $(SCHEMA) $(MIGRATIONS) $(REPORTS) $(B)/stamp/sql
	$(say) GEN $@
	@mkdir -p $(@D)
	$(Q)scripts/embed-sql $(SCHEMA) $(MIGRATIONS) $(REPORTS) >$@

$(OBJS): | $(GEN)

# ---- tests ----------------------------------------------------------------------------------
#
# tests/unit/<folder>/test_<file>.c   one program each; archives of its folder and lower ranks
# tests/<kind>/*.c, tests/<kind>/*.sh one program each with all archives; a script gets BIN
# tests/fuzz/fuzz_<name>.c            replayed over tests/fuzz/corpus/<name>/; words to try in dict/<name>.dict
# tests/{reader,lvm,kube}/*.c         programs that the scripts beside them call
# tests/harness/*.c                   helpers, in every program; files lib*.sh are helpers too
# Flags for the linker (as --wrap=malloc) are read from tests/<kind>/ldflags and <test>.ldflags.

KINDS := contract fault crash property format storm damage
SCRIPT_KINDS := unit $(KINDS) model cli traffic memory power lvm servers cluster recipes volumes kube image browser

harness_srcs := $(sort $(wildcard tests/harness/*.c))
HARNESS := $(if $(harness_srcs),$(B)/libharness.a)
$(B)/stamp/libharness: FORCE
	$(call write_if_changed,$(harness_srcs))
$(B)/libharness.a: $(call obj,$(harness_srcs)) $(B)/stamp/libharness
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcsD $@ $(filter %.o,$^)

unit_srcs := $(sort $(wildcard tests/unit/*/test_*.c))
kind_srcs := $(foreach k,$(KINDS),$(sort $(wildcard tests/$k/*.c)))
reader_srcs := $(sort $(wildcard tests/reader/*.c))
lvm_srcs := $(sort $(wildcard tests/lvm/*.c))
kube_srcs := $(sort $(wildcard tests/kube/*.c))
fuzz_srcs := $(sort $(filter-out tests/fuzz/fuzz_main.c,$(wildcard tests/fuzz/fuzz_*.c)))
fuzz_helpers := $(wildcard tests/fuzz/fuzz_main.c tests/fuzz/seeds.c)
test_srcs := $(harness_srcs) $(unit_srcs) $(kind_srcs) $(reader_srcs) $(lvm_srcs) $(kube_srcs) $(fuzz_srcs) $(fuzz_helpers)
OBJS += $(call obj,$(test_srcs))
$(call obj,$(test_srcs)): | $(GEN)

# test_rules <source> <archives>
define test_rules
$(B)/$(1:.c=): $(call obj,$(1)) $(HARNESS) $(2) $(wildcard $(dir $(1))ldflags $(1:.c=.ldflags))
	$$(say) LD $$@
	@mkdir -p $$(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(addprefix @,$(wildcard $(dir $(1))ldflags $(1:.c=.ldflags))) \
		-o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(CMOCKA_LIBS) $(LIBS)
endef
unit_folder = $(word 3,$(subst /, ,$(1)))
$(foreach s,$(unit_srcs),$(eval $(call test_rules,$s,$(call archives,$(call unit_folder,$s) $(BELOW_$(call unit_folder,$s))))))
$(foreach s,$(kind_srcs) $(reader_srcs) $(lvm_srcs) $(kube_srcs) $(wildcard tests/fuzz/seeds.c),$(eval $(call test_rules,$s,$(EVERYTHING))))

# They start the programs.
$(B)/tests/crash/test_freezer_kills: | $(B)/aksdr-freezer
$(B)/tests/fault/test_azure_claim: | $(B)/aksdr-agent $(B)/aksdr-restore
$(B)/tests/fault/test_standby_movers: | $(B)/aksdr-agent $(B)/aksdr-restore

# In the mode `fuzz` the library brings its own main; elsewhere the replay main is linked.
fuzz_main := $(if $(FUZZ),,$(call obj,tests/fuzz/fuzz_main.c))
define fuzz_rules
$(B)/$(1:.c=): $(call obj,$(1)) $(fuzz_main) $(HARNESS) $(EVERYTHING)
	$$(say) LD $$@
	@mkdir -p $$(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(if $(FUZZ),-fsanitize=fuzzer) -o $$@ $$(filter %.o,$$^) \
		-Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(CMOCKA_LIBS) $(LIBS)
endef
$(foreach s,$(fuzz_srcs),$(eval $(call fuzz_rules,$s)))

# pick <tests>: those that TEST names, all without it; a pattern is for the path under tests/
pick = $(if $(TEST),$(shell for t in $(1); do n=$${t##*tests/}; n=$${n%%::*}; n=$${n%.sh}; \
	case $$n in ($(TEST)|*/$(TEST)) echo $$t;; esac; done),$(1))
scripts_of = $(filter-out tests/$(1)/lib%,$(sort $(wildcard tests/$(1)/*.sh)))
programs_of = $(patsubst %.c,$(B)/%,$(filter tests/$(1)/%,$(unit_srcs) $(kind_srcs)))
tests_of = $(call pick,$(call programs_of,$(1)) $(call scripts_of,$(1)))
fuzz_tests := $(call pick,$(foreach s,$(fuzz_srcs),$(B)/$(s:.c=)::tests/fuzz/corpus/$(patsubst tests/fuzz/fuzz_%.c,%,$s)))
reader_tests := $(call pick,$(call scripts_of,reader))
FAST_KINDS := unit contract fault crash storm property damage cli format
fast_tests := $(foreach k,$(FAST_KINDS),$(call tests_of,$k)) $(fuzz_tests)
# These wait most of the time: `test` runs them beside the others, one at a time. What takes longest of them, and the
# image, and pages in a browser, are by themselves (check-kube, check-image, check-browser): all of it is more than CI
# has time for.
CLUSTER_KINDS := kube image browser
LONG_STORIES := chaos deployed drill failover month profiles regions rights run scale split standby
all_tests := $(foreach k,$(filter-out $(CLUSTER_KINDS),$(SCRIPT_KINDS)),$(call tests_of,$k)) $(reader_tests) $(fuzz_tests)
cluster_tests := $(filter-out $(LONG_STORIES:%=tests/kube/%.sh),$(call tests_of,kube))

# what must be built before these tests can run
needs = $(sort $(filter $(B)/%,$(foreach t,$(1),$(firstword $(subst ::, ,$t))))) $(if $(filter %.sh,$(1)),$(PROGRAMS)) \
	$(if $(filter tests/reader/%,$(1)),$(patsubst %.c,$(B)/%,$(reader_srcs))) \
	$(if $(filter tests/lvm/%,$(1)),$(patsubst %.c,$(B)/%,$(lvm_srcs))) \
	$(if $(filter tests/kube/%,$(1)),$(patsubst %.c,$(B)/%,$(kube_srcs))) \
	$(if $(filter tests/memory/%,$(1)),$(B)/bench/scale) \
	$(if $(filter tests/servers/images.sh,$(1)),$(B)/tests/kube/preflight) \
	$(if $(filter tests/contract/%.sh,$(1)),$(B)/tests/contract/store_contract)
run_tests = PYTHON='$(PYTHON)' BIN='$(abspath $(B))' SRC='$(CURDIR)' SAN='$(SAN)' TEST='$(TEST)' JOBS='$(JOBS)' \
	TEST_TIMEOUT='$(TEST_TIMEOUT)' tests/run.sh

.PHONY: tests check check-all check-of-cluster check-tsan check-valgrind check-fuzz check-reader $(addprefix check-,$(SCRIPT_KINDS))
tests: all $(call needs,$(all_tests) $(cluster_tests)) ## build the tests, run none
check: all $(call needs,$(fast_tests)) ## the fast tests: unit contract fault crash storm property cli format, fuzz replay
	@TEST_SIZE=$(or $(TEST_SIZE),small) $(run_tests) check $(fast_tests)
check-all: all $(call needs,$(all_tests)) ## every test of this mode, at full size
	@TEST_SIZE=$(or $(TEST_SIZE),full) $(run_tests) check-all $(all_tests)

check-of-cluster: all $(call needs,$(cluster_tests))
	@TEST_SIZE=full $(run_tests) check-of-cluster $(cluster_tests)

check-unit: ## unit tests, one program a source file
check-contract: ## one suite per interface, over every driver and wrapper
check-fault: ## the Nth allocation, system call or store call fails
check-crash: ## killed at every step, reopened, checked
check-storm: ## many processes at work, killed and suspended, on a store in bad weather
check-damage: ## every object damaged, cut, deleted, exchanged: told, or harmless, and never silent
check-property: ## restore(backup(x)) = x over generated trees
check-format: ## golden repositories of each format version
check-cli: ## the programs as a shell sees them
check-model: ## every state of the protocol of docs/CONCURRENCY.md, at small scope
check-power: ## the power fails at any moment, recorded in an emulated machine
check-lvm: ## thin volumes of LVM in an emulated machine
check-memory: ## memory ceilings under a cgroup limit
check-servers: ## the servers of the tests are what docs/STORES.md says, and faults are put in front of them
check-cluster: ## real services and a real Kubernetes cluster, end to end
check-recipes: ## hooks with real databases that are written to, restored and started
check-volumes: ## snapshots of real file systems under a writer, and what goes wrong with them (root, loop devices)
check-kube: ## the client against a real Kubernetes, and that the cluster of the tests is one (root, namespaces)
check-browser: ## pages in a real Chromium: desk and phone, light and dark, what axe finds (two minutes)
check-image: ## the container image: what is in it, that it runs, that it is the same twice, its bill of materials
# `cluster` is the service and the cluster
of_kind = $(call tests_of,$(1)) $(if $(filter cluster,$(1)),$(call tests_of,kube))
define kind_rule
check-$(1): $(if $(filter unit,$(1)),$(EVERYTHING)) $(call needs,$(call of_kind,$(1)))
	@TEST_SIZE=$(or $(TEST_SIZE),full) $(run_tests) check-$(1) $(call of_kind,$(1))
endef
$(foreach k,$(SCRIPT_KINDS),$(eval $(call kind_rule,$k)))
check-fuzz: $(call needs,$(fuzz_tests)) ## replay the fuzz corpora
	@$(run_tests) check-fuzz $(fuzz_tests)
check-reader: $(call needs,$(reader_tests)) ## the independent reader restores what the programs wrote
	@$(run_tests) check-reader $(reader_tests)

.PHONY: live
live: all ## backups to real accounts, which AKSDR_LIVE_* name (docs/TESTING.md)
	@$(run_tests) live $(call tests_of,live)

# Long ones in which one thread does everything.
TSAN_LESS := catalog/test_audit_verify catalog/test_catalog catalog/test_query repo/test_rekey
tsan_tests := $(filter-out $(TSAN_LESS:%=$(B)/tests/unit/%),$(foreach k,unit contract,$(call tests_of,$k)))
check-tsan: $(call needs,$(tsan_tests)) ## the tests that matter under SAN=thread: unit, contract
	@$(run_tests) check-tsan $(tsan_tests)
check-valgrind: $(call needs,$(call tests_of,unit)) ## unit tests under valgrind
	@WRAP='valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite' \
		$(run_tests) check-valgrind $(filter-out %.sh,$(call tests_of,unit))

SUBJ = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))
stage = @printf '\n== %s\n' $(call quote,$(1))

.PHONY: fuzz fuzz-ci fuzz-run fuzz-merge fuzz-merge-run fuzz-seeds torture
FUZZ_MAKE = $(MAKE) $(SUBJ) --no-print-directory CC=clang SAN= COV= FUZZ=1
fuzz_programs := $(foreach s,$(fuzz_srcs),$(B)/$(s:.c=))
fuzz: ## fuzz every decoder, FUZZ_SECONDS each, FUZZ_JOBS at once (clang, libFuzzer)
	+$(Q)$(FUZZ_MAKE) fuzz-run
fuzz-ci: ## the same for a short time, two at once
	+$(Q)$(FUZZ_MAKE) FUZZ_SECONDS=$(FUZZ_CI_SECONDS) FUZZ_JOBS=2 fuzz-run
fuzz-run: $(fuzz_programs)
	$(Q)FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_JOBS='$(FUZZ_JOBS)' FUZZ_SEED='$(FUZZ_SEED)' TEST='$(TEST)' \
		tests/fuzz/run.sh $(B) $(fuzz_programs)
fuzz-merge: ## take what fuzzing found into tests/fuzz/corpus, as few inputs as reach the same code
	+$(Q)$(FUZZ_MAKE) fuzz-merge-run
fuzz-merge-run: $(fuzz_programs)
	$(Q)TEST='$(TEST)' tests/fuzz/merge.sh $(B) $(fuzz_programs)
fuzz-seeds: $(B)/tests/fuzz/seeds ## write the inputs that the encoders make into tests/fuzz/corpus
	$(Q)$< tests/fuzz/corpus
torture_tests = $(foreach k,storm crash property fault,$(call tests_of,$k))
torture: all $(call needs,$(torture_tests)) ## storm, crash, property and fault tests with seeds from SEED on, ROUNDS= of them or for TIME= seconds
	@seed=$(or $(SEED),$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')); end=$$((SECONDS + $(or $(TIME),600))); \
	for ((n = 0; $(if $(ROUNDS),n < $(ROUNDS),SECONDS < end); n++)); do export TEST_SEED=$$((seed + n)); \
		echo "== round $$((n + 1)): TEST_SEED=$$TEST_SEED"; \
		TEST_SIZE=$(or $(TEST_SIZE),full) $(run_tests) torture $(torture_tests) || \
			{ echo "again: make torture SEED=$$TEST_SEED ROUNDS=1$(if $(TEST), TEST='$(TEST)')"; exit 1; }; \
	done

.PHONY: torture-damage
torture-damage: TEST_TIMEOUT := 86400
torture-damage: all $(call needs,$(call tests_of,damage)) ## the whole damage campaign: ROUNDS repositories, from SEED
	@rm -f $(B)/damage.md; DAMAGE_ROUNDS='$(or $(ROUNDS),1)' DAMAGE_TABLE='$(abspath $(B))/damage.md' \
		TEST_SEED=$(or $(SEED),$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')) \
		TEST_SIZE=full $(run_tests) torture-damage $(call tests_of,damage); rc=$$?; \
		[ ! -f $(B)/damage.md ] || cat $(B)/damage.md; exit $$rc

# ---- the two commands of the README ---------------------------------------------------------

.PHONY: bootstrap demo test test-stages test-build-gcc test-plain test-cluster test-asan test-fuzz test-tsan
bootstrap: ## install what the build and the tests need (Debian 12, root or sudo)
	@scripts/bootstrap

demo: ## set up, build, back up real data, restore it, compare (VOLUME=path for your own)
	@scripts/bootstrap build
	+@$(MAKE) $(SUBJ) --no-print-directory all
	@BIN='$(abspath $(B))' VOLUME='$(VOLUME)' scripts/demo

PLAIN := CC=gcc SAN= COV= WERROR=1
test: ## set up, build with gcc and clang, and run every test
	@scripts/bootstrap
	@mkdir -p $(BUILD) && rm -f $(BUILD)/totals
	$(call stage,gcc -Werror)
	+@$(MAKE) --no-print-directory test-build-gcc
	+@$(MAKE) --no-print-directory test-cluster >$(BUILD)/cluster.log 2>&1 & cluster=$$!; \
		$(MAKE) --no-print-directory test-stages; rc=$$?; \
		wait $$cluster || rc=1; printf '\n== stories in a cluster, which ran beside the others\n'; \
		cat $(BUILD)/cluster.log; exit $$rc
	@awk '{ p += $$1; f += $$2; s += $$3 } END { \
		printf "\nall stages:\n%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : "" }' $(BUILD)/totals
test-stages: ## stages of `test` that want a processor, one after the other
	$(call stage,lint)
	+@$(MAKE) --no-print-directory $(PLAIN) lint
	$(call stage,all tests)
	+@$(MAKE) --no-print-directory test-plain
	$(call stage,clang -Werror; address and undefined-behaviour sanitizers)
	+@$(MAKE) --no-print-directory test-asan
	$(call stage,fuzzing)
	+@$(MAKE) --no-print-directory test-fuzz
	$(call stage,thread sanitizer)
	+@$(MAKE) --no-print-directory test-tsan
test-build-gcc: ## stage of `test`: programs and tests with gcc -Werror
	+@$(MAKE) $(SUBJ) --no-print-directory $(PLAIN) tests man completion
# What takes minutes at full size, and is there at small size under the sanitizers, too.
CI_SMALL := fault/test_collect_faults|crash/backup_crash|crash/catalog_crash|crash/kills|unit/snapshot/test_precopy|$(strip \
	)damage/test_damage|memory/mount|memory/small_files|power/power|property/roundtrip
test-plain: ## stage of `test`: every test, loop devices, memory ceiling and independent reader included
	+@TOTALS='$(abspath $(BUILD))/totals' TEST_SMALL='$(CI_SMALL)' $(MAKE) $(SUBJ) --no-print-directory $(PLAIN) check-all
test-cluster: ## stage of `test`: stories in a Kubernetes cluster, but for the longest
	+@TOTALS='$(abspath $(BUILD))/totals' $(MAKE) $(SUBJ) --no-print-directory $(PLAIN) JOBS=1 check-of-cluster
test-asan: ## stage of `test`: programs and tests with clang -Werror; the fast ones are run under ASan and UBSan
	+@TOTALS='$(abspath $(BUILD))/totals' $(MAKE) $(SUBJ) --no-print-directory $(PLAIN) CC=clang \
		SAN=address,undefined tests check
test-fuzz: ## stage of `test`: each fuzz target for a short time, from the saved corpora
	+@TOTALS='$(abspath $(BUILD))/totals' $(MAKE) --no-print-directory fuzz-ci
test-tsan: ## stage of `test`: the threaded tests under TSan
	+@TOTALS='$(abspath $(BUILD))/totals' $(MAKE) $(SUBJ) --no-print-directory CC=clang SAN=thread COV= check-tsan

# ---- benchmarks -----------------------------------------------------------------------------

bench_srcs := $(sort $(wildcard bench/*.c))
OBJS += $(call obj,$(bench_srcs))
$(call obj,$(bench_srcs)): | $(GEN)
# Nothing of the product is in its yardstick.
$(B)/bench/limits: $(call obj,bench/limits.c)
$(B)/bench/scale: $(call obj,$(wildcard bench/scale*.c)) $(call archives,repo $(BELOW_repo))
$(B)/bench/freezes: $(call obj,bench/freezes.c) $(call archives,snapshot $(BELOW_snapshot))
$(B)/bench/world: $(call obj,bench/world.c) $(call archives,agent $(BELOW_agent))
$(B)/bench/points: $(call obj,bench/points.c) $(call archives,repo $(BELOW_repo))
$(B)/bench/limits $(B)/bench/scale $(B)/bench/freezes $(B)/bench/world $(B)/bench/points:
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

.PHONY: bench bench-peers bench-scale bench-freezes bench-world bench-catalog
bench: all $(B)/bench/limits ## measure time, memory and stored bytes, and compare with the primitives' limit
	@scripts/bootstrap
	@BIN='$(abspath $(B))' bench/run $(BENCH_ARGS)
bench-peers: all $(B)/bench/limits ## the same corpora through restic, rustic and borg
	@scripts/bootstrap
	@bench/install-peers || [ $$? -eq 3 ]
	@BIN='$(abspath $(B))' bench/run --peers $(BENCH_ARGS)
bench-freezes: all $(B)/bench/freezes ## how long file systems stand still for snapshots; root, loop devices
	@BIN='$(abspath $(B))' bench/freezes $(FREEZES_DIR)
bench-catalog: all $(B)/bench/points ## reports, queries and synchronisation with a million points: CATALOG_ARGS='--points 1000000'
	@BIN='$(abspath $(B))' bench/catalog $(CATALOG_ARGS)
bench-world: $(B)/bench/world ## what an agent's knowledge of a cluster takes, and its decisions: CLAIMS=n
	@$(B)/bench/world $(or $(CLAIMS),10000)
bench-scale: $(B)/bench/scale ## collections, checks and the index by size: SIZE=small|medium|1m|3m|10m|100m, SCALE_DIR=dir
	@dir=$(or $(SCALE_DIR),$$(mktemp -d)) && $(B)/bench/scale --dir $$dir --size $(or $(SIZE),1m) $(SCALE_ARGS); rc=$$?; \
		$(if $(SCALE_DIR),,rm -rf $$dir;) exit $$rc

# ---- checks of the source -------------------------------------------------------------------

c_files := $(foreach d,$(FOLDERS) bench tests/harness tests/fuzz tests/reader tests/lvm tests/kube $(addprefix tests/,$(KINDS)) \
	$(wildcard tests/unit/*),$(sort $(wildcard $d/*.c $d/*.h)))

.PHONY: lint format format-check tidy analyze cov compile_commands.json docs
lint: $(GEN) ## layers, headers, banned functions, style, scripts, spelling, links, format
	@rc=0; $(MAKE) --no-print-directory format-check || rc=1; tests/lint/layers.sh || rc=1; \
	LINT_CFLAGS='$(filter-out -DAKSDR_VERSION% -include %/banned.h,$(CPPFLAGS_OWN)) $(PKG_CFLAGS) -std=gnu17 $(filter-out -Werror,$(WARNINGS))' \
		CLANG='$(CLANG)' JOBS='$(JOBS)' tests/lint/headers.sh || rc=1; \
	tests/lint/banned.sh || rc=1; tests/lint/links.sh || rc=1; tests/lint/style.sh || rc=1; exit $$rc
format: ## rewrite the C files with clang-format
	$(Q)$(if $(c_files),$(CLANG_FORMAT) -i $(c_files))
format-check: ## fail where clang-format would change something
	@printf '%s\n' $(c_files) | xargs -P $(JOBS) -n 32 $(CLANG_FORMAT) --dry-run -Werror && echo 'lint format: clean' || \
		{ echo "not as clang-format leaves it: run 'make format'"; exit 1; }
tidy: $(GEN) ## clang-tidy over every source
	$(Q)printf '%s\n' $(filter %.c,$(c_files)) | xargs -P $(JOBS) -I{} $(CLANG_TIDY) --quiet {} -- \
		$(CPPFLAGS_OWN) $(PKG_CFLAGS) -std=gnu17
analyze: ## gcc's static analyzer over the programs' sources
	+$(Q)$(MAKE) $(SUBJ) --no-print-directory CC=gcc SAN= COV= ANALYZE=1 all
cov: ## line coverage of the fast tests, as a summary and as HTML
	+$(Q)$(MAKE) $(SUBJ) --no-print-directory CC=gcc SAN= COV=1 check
	$(Q)lcov --quiet --capture --directory $(BUILD)/cov/obj --base-directory . --no-external \
		--output-file $(BUILD)/cov/all.info --rc lcov_branch_coverage=0
	$(Q)lcov --quiet --remove $(BUILD)/cov/all.info '*/tests/*' '*/bench/*' --output-file $(BUILD)/cov/cov.info
	$(Q)genhtml --quiet --output-directory $(BUILD)/cov/html $(BUILD)/cov/cov.info
	$(Q)lcov --list $(BUILD)/cov/cov.info
	@echo 'details: $(BUILD)/cov/html/index.html'
compile_commands.json: ## the compilation database, for editors
	$(Q){ echo '['; sep=; for s in $(filter %.c,$(c_files)); do \
		printf '%s{"directory":"%s","file":"%s","command":"%s"}' "$$sep" '$(CURDIR)' "$$s" \
			$(call quote,$(subst ",\",$(subst \,\\,$(CC) $(ALL_CFLAGS) -c)))" $$s"; sep=$$',\n'; \
	done; printf '\n]\n'; } >$@
docs: man ## generated pages, and a check that links inside the documents resolve
	@tests/lint/links.sh

# ---- documents from the programs, install ---------------------------------------------------

MAN := $(patsubst $(B)/%,$(B)/man/%.1,$(PROGRAMS))
COMPLETIONS := $(foreach p,$(notdir $(PROGRAMS)),$(addprefix $(B)/completion/$p.,bash zsh fish))
.PHONY: man completion dist install uninstall clean help
man: $(MAN) ## man pages, from the option tables
$(B)/man/%.1: $(B)/%
	$(say) MAN $@
	@mkdir -p $(@D)
	$(Q)$< help --man >$@
completion: $(COMPLETIONS) ## shell completions, from the option tables
define completion_rules
$(B)/completion/$(1).%: $(B)/$(1)
	$$(say) GEN $$@
	@mkdir -p $$(@D)
	$(Q)$$< completion $$* >$$@
endef
$(foreach p,$(notdir $(PROGRAMS)),$(eval $(call completion_rules,$p)))

dist: ## source archive of HEAD
	@mkdir -p $(BUILD)/dist
	$(Q)git archive --prefix=aksdr-$(VERSION)/ HEAD | gzip -n >$(BUILD)/dist/aksdr-$(VERSION).tar.gz
	@echo $(BUILD)/dist/aksdr-$(VERSION).tar.gz

# For another architecture the same rules run with its compiler, over the libraries of Debian that
# scripts/sysroot unpacked.
TRIPLET_amd64 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu
HOST_ARCH := $(shell dpkg --print-architecture 2>/dev/null)
IMAGE ?= localhost/aksdr
.PHONY: image image-here
image: ## container image and its bill of materials, into build/*/image; ARCH=arm64: cross-built
ifeq ($(filter-out $(HOST_ARCH),$(ARCH)),)
	+@$(MAKE) $(SUBJ) --no-print-directory CC=gcc SAN= COV= IMAGE_ARCH=$(HOST_ARCH) image-here
else
	$(if $(TRIPLET_$(ARCH)),,$(error ARCH=$(ARCH): the architectures are amd64 and arm64))
	+@root=$$(scripts/sysroot $(ARCH)) && \
		PKG_CONFIG_LIBDIR=$$root/usr/lib/$(TRIPLET_$(ARCH))/pkgconfig:$$root/usr/share/pkgconfig \
		PKG_CONFIG_SYSROOT_DIR=$$root $(MAKE) $(SUBJ) --no-print-directory SAN= COV= \
		CC=$(TRIPLET_$(ARCH))-gcc AR=$(TRIPLET_$(ARCH))-ar CFLAGS="-O2 -g --sysroot=$$root" \
		IMAGE_ARCH=$(ARCH) IMAGE_FROM="--root $$root --strip $(TRIPLET_$(ARCH))-strip" image-here
endif
image-here: $(PROGRAMS)
	$(Q)scripts/image --bin $(B) --out $(B)/image --arch $(IMAGE_ARCH) --name '$(IMAGE)' $(IMAGE_FROM)

bash_dir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zsh_dir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fish_dir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
recipe_dir = $(DESTDIR)$(PREFIX)/share/aksdr/recipes
RECIPES := $(sort $(filter-out %/lib.sh,$(wildcard recipes/*)))
install: all man completion ## install programs, man pages, completions and recipes under DESTDIR/PREFIX
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1' '$(bash_dir)' '$(zsh_dir)' '$(fish_dir)' '$(recipe_dir)'
	$(if $(PROGRAMS),install -m 755 $(PROGRAMS) '$(DESTDIR)$(PREFIX)/bin')
	$(if $(MAN),install -m 644 $(MAN) '$(DESTDIR)$(PREFIX)/share/man/man1')
	set -e; for p in $(notdir $(PROGRAMS)); do \
		install -m 644 $(B)/completion/$$p.bash '$(bash_dir)'/$$p; \
		install -m 644 $(B)/completion/$$p.zsh '$(zsh_dir)'/_$$p; \
		install -m 644 $(B)/completion/$$p.fish '$(fish_dir)'/$$p.fish; done
	install -m 755 $(RECIPES) '$(recipe_dir)'
	install -m 644 recipes/lib.sh '$(recipe_dir)'
uninstall: ## remove what install put there
	set -e; for p in aksdr-agent aksdr-restore aksdr-catalog aksdr-freezer; do \
		rm -f '$(DESTDIR)$(PREFIX)'/bin/$$p '$(DESTDIR)$(PREFIX)'/share/man/man1/$$p.1 \
			'$(bash_dir)'/$$p '$(zsh_dir)'/_$$p '$(fish_dir)'/$$p.fish; done
	rm -f $(patsubst recipes/%,'$(recipe_dir)'/%,$(RECIPES)) '$(recipe_dir)'/lib.sh
clean: ## remove the build directory
	rm -rf $(BUILD) compile_commands.json
help: ## this list
	@sed -n 's/^\([a-z][a-z_.-]*\):[^#]*## /\1\t/p' Makefile | sort | awk -F'\t' '{ printf "  %-22s %s\n", $$1, $$2 }'
	@sed -n '/^# Knobs:/,/^# Local/p' Makefile | sed 's/^# //'

# Objects and generated files stay, so that a second make has nothing to do.
.SECONDARY:
-include $(wildcard $(OBJS:.o=.d))
