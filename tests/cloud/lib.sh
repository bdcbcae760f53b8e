#!/usr/bin/env bash
# Sourced by the tests of the cloud: an emulated cloud in a directory of its own, ended at exit; the vendor's SDK.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
work=$(mktemp -d /tmp/coldlift-cloud-XXXXXX)
emulator_pid=
endpoint=

clean_up() {
	status=${1:-$?}
	[ -z "$emulator_pid" ] || { kill "$emulator_pid" 2>/dev/null || true; wait "$emulator_pid" 2>/dev/null || true; }
	case $status in
	0 | 77) ;; # a skipped test's last line is its reason
	*) echo "--- the emulator's log:" && tail -n 30 "$work/emulator.log" 2>/dev/null || true ;;
	esac
	rm -rf "$work"
}
trap clean_up EXIT

requires() { # PROGRAM...
	for tool; do
		command -v "$tool" >/dev/null || { echo "needs $tool"; exit 77; }
	done
}

# Sets endpoint. Options go to the emulator; its instances are real unless SET says "real_instances": false.
# shellcheck disable=SC2120
start_emulator() { # [OPTION...]
	/usr/bin/python3 -c 'import aiohttp' 2>/dev/null || { echo "needs the package python3-aiohttp"; exit 77; }
	: >"$work/emulator.out"
	tests/cloud/emulate --dir "$work/cloud" "$@" >"$work/emulator.out" 2>"$work/emulator.log" &
	emulator_pid=$!
	until grep -q '^endpoint: ' "$work/emulator.out"; do
		kill -0 "$emulator_pid" 2>/dev/null || {
			grep '^emulate: instances need' "$work/emulator.log" && exit 77
			exit 1
		}
		sleep 0.05
	done
	endpoint=$(sed -n 's/^endpoint: //p' "$work/emulator.out")
	export endpoint
}

emulator() { # METHOD PATH [JSON]
	curl -sS --fail-with-body --max-time 600 -X "$1" ${3+--data-binary "$3"} "$endpoint/_emulator/$2"
}

# The vendor's SDK for Node.js, at the locked versions, in the cache; sets NODE_PATH.
sdk_ready() {
	local key home
	requires node npm
	key=$(cat tests/cloud/sdk/package.json tests/cloud/sdk/package-lock.json | sha256sum | cut -c1-16)
	home=${COLDLIFT_CACHE:-$HOME/.cache/coldlift}/npm/$key
	mkdir -p "$home"
	(
		flock 9
		[ -f "$home/complete" ] && exit 0
		cp tests/cloud/sdk/package.json tests/cloud/sdk/package-lock.json "$home/"
		cd "$home"
		npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=2000 >npm.log 2>&1 && touch complete
	) 9>"$home.lock" || {
		tail -n 5 "$home/npm.log"
		echo "the vendor's SDK could not be installed by npm (no registry within reach?)"
		exit 77
	}
	export NODE_PATH=$home/node_modules
}

# Sets RECEIVER, MIGRATOR and PIPELINE: what ships, if it is built, else the quick build.
programs() {
	local build=build/musl
	[ -x $build/receiver ] && [ -x $build/migrator ] || build=build/host
	RECEIVER=${RECEIVER:-$PWD/$build/receiver} MIGRATOR=${MIGRATOR:-$PWD/$build/migrator}
	PIPELINE=${PIPELINE:-$PWD/$build/pipeline}
	[ -x "$RECEIVER" ] && [ -x "$MIGRATOR" ] || { echo "no programs: make programs"; exit 77; }
	export RECEIVER MIGRATOR PIPELINE
}
