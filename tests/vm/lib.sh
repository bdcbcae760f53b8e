# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests that boot machines. A machine has a name, and under $vm_dir/NAME: serial.log (all that its
# first serial port said), qemu.log, and pipes to its serial port and to QEMU's monitor.
#
#   vm_needs FILE...                      skip (77) unless these, QEMU and firmware are there
#   vm_start NAME bios|uefi MIB OPTION... start a machine
#   vm_wait NAME SECONDS REGEX            until its serial port has said it; fails otherwise
#   vm_says NAME REGEX                    whether it has said it
#   vm_sh NAME COMMAND [SECONDS]          run in the image's shell on the serial port (mode=shell),
#                                         print the output, return the status
#   vm_sees NAME COMMAND REGEX            whether the command succeeds there and prints that
#   vm_line NAME TEXT                     type a line on the serial port
#   vm_monitor NAME COMMAND               a command for QEMU's monitor
#   vm_screenshot NAME FILE.png           what its screen shows
#   vm_gone NAME SECONDS                  until it has powered off; fails otherwise
#   vm_stop NAME                          pull the plug
#   fail TEXT                             end the test
# Everything is stopped and removed when the test ends; VM_KEEP=1 keeps the directory.

set -euo pipefail
export LC_ALL=C

vm_lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$vm_lib/../.." && pwd)
# shellcheck disable=SC2034 # for the tests
iso=${COLDLIFT_BUILD:-$top/build}/coldlift.iso
# shellcheck disable=SC2034
pxe=${COLDLIFT_BUILD:-$top/build}/pxe
vm_dir=$(mktemp -d "${TMPDIR:-/tmp}/coldlift-vm.XXXXXX")
declare -A vm_pids=()
vm_helpers=() # other processes of a test, to end with it

vm_cleanup() {
	local status=$? name
	set +e
	for name in "${!vm_pids[@]}"; do
		vm_stop "$name"
		[ $status = 0 ] || [ $status = 77 ] || {
			echo "--- last words of $name ---"
			tail -n 30 "$vm_dir/$name/serial.log" | tr -d '\r' | cut -c1-200
			tail -n 5 "$vm_dir/$name/qemu.log"
		}
	done
	[ ${#vm_helpers[@]} = 0 ] || kill "${vm_helpers[@]}" 2>/dev/null
	[ -n "${VM_KEEP:-}" ] || rm -rf "$vm_dir"
	exit $status
}
trap vm_cleanup EXIT
trap 'exit 143' TERM INT

fail() {
	echo "FAIL: $*"
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

vm_needs() {
	local file
	command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed"
	for file; do [ -e "$file" ] || skip "${file#"$top"/} is not built"; done
}

vm_start() {
	local name=$1 firmware=$2 memory=$3 dir
	shift 3
	dir=$vm_dir/$name
	mkdir -p "$dir"
	rm -f "$dir"/*.in "$dir"/*.out
	mkfifo "$dir/serial.in" "$dir/serial.out" "$dir/monitor.in" "$dir/monitor.out"
	: >"$dir/serial.log"
	VM_VARS=$dir/vars.fd "$vm_lib/qemu" "$firmware" "$memory" \
		-chardev "pipe,id=serial,path=$dir/serial,logfile=$dir/serial.log" -serial chardev:serial \
		-chardev "pipe,id=monitor,path=$dir/monitor" -mon chardev=monitor,mode=readline \
		"$@" >"$dir/qemu.log" 2>&1 &
	vm_pids[$name]=$!
	# What nobody reads would stop the machine.
	cat "$dir/serial.out" >/dev/null &
	cat "$dir/monitor.out" >/dev/null &
}

vm_running() { [ -n "${vm_pids[$1]-}" ] && kill -0 "${vm_pids[$1]}" 2>/dev/null; }

vm_says() { grep -aqE -- "$2" < <(tr -d '\r' <"$vm_dir/$1/serial.log"); }

vm_wait() {
	local end=$(($(date +%s) + $2)) running
	while :; do
		running=yes
		vm_running "$1" || running=
		# Looked at after that, so that last words count.
		if vm_says "$1" "$3"; then return 0; fi
		[ -n "$running" ] || fail "$1 stopped before it said '$3'"
		[ "$(date +%s)" -lt $end ] || fail "$1 did not say '$3' within $2 s"
		sleep 0.1
	done
}

vm_line() { printf '%s\n' "$2" >"$vm_dir/$1/serial.in"; }

vm_monitor() {
	printf '%s\n' "$2" >"$vm_dir/$1/monitor.in"
	sleep 0.3
}

# What is typed while nobody has the port open is lost, so the prompt comes first.
vm_prompt() {
	local tries=0
	until [[ $(tail -c 40 "$vm_dir/$1/serial.log" | tr -d '\0') == *'# '* ]]; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] || fail "no prompt on the serial port of $1"
		sleep 0.1
	done
}

vm_sh() {
	local name=$1 mark before out
	vm_prompt "$name"
	mark=MARK$RANDOM$RANDOM
	before=$(stat -c %s "$vm_dir/$name/serial.log")
	# Quotes keep the marks out of the shell's echo of the line.
	vm_line "$name" "echo; echo \"${mark}\"+; { $2; } 2>&1; r=\$?; echo; echo \"${mark}\"=\$r="
	vm_wait "$name" "${3:-300}" "^$mark=[0-9]+="
	out=$(tail -c +$((before + 1)) "$vm_dir/$name/serial.log" | tr -d '\r')
	printf '%s\n' "$out" | sed -n -e "/^$mark+\$/,/^$mark=/p" | sed -e '1d' -e '$d' | sed -e '${/^$/d}'
	return "$(printf '%s\n' "$out" | sed -nE "s/^$mark=([0-9]+)=.*/\1/p" | head -n 1)"
}

# Not "vm_sh | grep -q", which ends vm_sh early by a broken pipe.
vm_sees() {
	local out
	out=$(vm_sh "$1" "$2") || return 1
	printf '%s\n' "$out"
	grep -qE -- "$3" <<<"$out"
}

vm_screenshot() {
	vm_monitor "$1" "screendump $2 -f png"
	local tries=0
	until [ -s "$2" ]; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || fail "QEMU made no picture of the screen of $1"
		sleep 0.1
	done
}

vm_gone() {
	local end=$(($(date +%s) + $2))
	while vm_running "$1"; do
		[ "$(date +%s)" -lt $end ] || fail "$1 did not power off within $2 s"
		sleep 0.2
	done
}

vm_stop() {
	if vm_running "$1"; then
		kill "${vm_pids[$1]}" 2>/dev/null || true
		wait "${vm_pids[$1]}" 2>/dev/null || true
	fi
}

# An ISO with our settings on it, as an operator would make it. FILE OPTIONS...
# no_timer_check: an emulated timer on a busy host can be late enough to be taken for a broken one.
# tsc=unstable: the cycle counter is measured against that timer, and time may run several times too fast.
vm_iso() {
	local out=$1 words="no_timer_check tsc=unstable" options=()
	shift
	while [ $# -gt 0 ]; do
		if [ "$1" = --args ]; then
			words="$words $2"
			shift
		else
			options+=("$1")
		fi
		shift
	done
	"$top/iso/customize" --timeout 1 --output "$out" --args "$words" "${options[@]}" "$iso" \
		2>"$vm_dir/customize.log" || fail "$(cat "$vm_dir/customize.log")"
}

# A disk with something on it that must not change. FILE MIB
vm_disk() {
	truncate -s "${2}M" "$1"
	head -c 1M /dev/urandom | dd of="$1" conv=notrunc status=none
}
