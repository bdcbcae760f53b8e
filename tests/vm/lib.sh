# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests that boot machines. A machine has a name, and under $vm_dir/NAME: serial.log (all that its
# first serial port said), qemu.log, and pipes to its serial port and to QEMU's monitor.
#
#   vm_needs FILE...                      skip (77) unless these, QEMU and firmware are there
#   vm_start NAME bios|uefi MIB OPTION... start a machine
#   vm_until NAME SECONDS WHAT COMMAND... until the command of this host succeeds; fails otherwise
#   vm_wait NAME SECONDS REGEX            until its serial port has said it; fails otherwise
#   vm_says NAME REGEX                    whether it has said it
#   vm_sh NAME COMMAND [SECONDS]          run in the image's shell on the serial port (mode=shell),
#                                         print the output, return the status
#   vm_sees NAME COMMAND REGEX            whether the command succeeds there and prints that
#   vm_becomes NAME COMMAND REGEX         until it does; fails otherwise
#   vm_line NAME TEXT                     type a line on the serial port
#   vm_shell NAME                         ask for a shell on the serial port, until there is one
#   vm_monitor NAME COMMAND               a command for QEMU's monitor, until it is done; fails when it is refused
#   vm_screenshot NAME FILE.png           what its screen shows
#   vm_gone NAME SECONDS                  until it has powered off; fails otherwise
#   vm_stop NAME                          pull the plug
#   vm_https FOLDER CERTIFICATE KEY       serve its files at https://127.0.0.1:$port
#   fail TEXT                             end the test
# Everything is stopped and removed when the test ends; VM_KEEP=1 keeps the directory.
#
# SECONDS end what hangs, and are no measure of anything: whatever may take long on a machine that is ten times slower,
# or busy with other things, gets 600.

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
	cat "$dir/monitor.out" >"$dir/monitor.log" &
}

vm_running() { [ -n "${vm_pids[$1]-}" ] && kill -0 "${vm_pids[$1]}" 2>/dev/null; }

vm_says() { grep -aqE -- "$2" < <(tr -d '\r' <"$vm_dir/$1/serial.log"); }

vm_until() {
	local name=$1 seconds=$2 what=$3 running end=$(($(date +%s) + $2))
	shift 3
	while :; do
		running=yes
		vm_running "$name" || running=
		# Looked at after that, so that last words count.
		if "$@"; then return 0; fi
		[ -n "$running" ] || fail "$name stopped, but not: $what"
		[ "$(date +%s)" -lt $end ] || fail "$name: not within $seconds s: $what"
		sleep 0.1
	done
}

vm_wait() { vm_until "$1" "$2" "it says '$3'" vm_says "$1" "$3"; }

vm_line() { printf '%s\n' "$2" >"$vm_dir/$1/serial.in"; }

vm_prompts() { # NAME COUNT: QEMU's monitor has asked for a command more often
	[ "$(tr '\r' '\n' <"$vm_dir/$1/monitor.log" | grep -ac '^(qemu) ')" -gt "$2" ]
}

vm_monitor() {
	local log=$vm_dir/$1/monitor.log prompts bytes
	vm_until "$1" 600 "the first prompt of QEMU's monitor" vm_prompts "$1" 0
	prompts=$(tr '\r' '\n' <"$log" | grep -ac '^(qemu) ')
	bytes=$(stat -c %s "$log")
	printf '%s\n' "$2" >"$vm_dir/$1/monitor.in"
	vm_until "$1" 600 "QEMU's monitor is done with: $2" vm_prompts "$1" "$prompts"
	! tail -c +$((bytes + 1)) "$log" | grep -aE '^(Error|unknown command|invalid|Parameter)' || fail "QEMU refuses: $2"
}

# What is typed while nobody has the port open is lost, so the prompt comes first. It can have been pushed out of sight by
# what others say on that port: an empty line brings another.
vm_prompt() {
	local tries=0
	until [[ $(tail -c 40 "$vm_dir/$1/serial.log" | tr -d '\0') == *'# '* ]]; do
		tries=$((tries + 1))
		vm_running "$1" && [ $tries -lt 6000 ] || fail "no prompt on the serial port of $1"
		[ $((tries % 50)) != 0 ] || vm_line "$1" ''
		sleep 0.1
	done
}

# Who listens for the word may not have the port open yet, and then it is lost: it is typed until it was heard. In a shell
# it does nothing.
vm_shell() {
	local tries=0
	until vm_says "$1" 'A shell of the live image'; do
		vm_running "$1" && [ $tries -lt 6000 ] || fail "no shell on the serial port of $1"
		[ $((tries % 50)) != 0 ] || vm_line "$1" shell
		tries=$((tries + 1))
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
	vm_wait "$name" "${3:-600}" "^$mark=[0-9]+="
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

vm_becomes() {
	local end=$(($(date +%s) + 600))
	until vm_sees "$@"; do
		[ "$(date +%s)" -lt $end ] || fail "$1: not within 600 s: '$2' says '$3'"
		sleep 1
	done
}

vm_screenshot() {
	vm_monitor "$1" "screendump $2 -f png"
	vm_until "$1" 600 "a picture of its screen" [ -s "$2" ]
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

vm_https() {
	(cd "$1" && exec openssl s_server -accept 127.0.0.1:0 -WWW -cert "$2" -key "$3" </dev/null >"$vm_dir/https.log" 2>&1) &
	vm_helpers+=($!)
	port=
	until [ -n "$port" ]; do
		kill -0 "${vm_helpers[-1]}" 2>/dev/null || fail "no server: $(cat "$vm_dir/https.log")"
		sleep 0.1
		port=$(sed -nE 's/^ACCEPT .*:([0-9]+)$/\1/p' "$vm_dir/https.log" | sed -n 1p)
	done
}

# A disk with something on it that must not change. FILE MIB
vm_disk() {
	truncate -s "${2}M" "$1"
	head -c 1M /dev/urandom | dd of="$1" conv=notrunc status=none
}
