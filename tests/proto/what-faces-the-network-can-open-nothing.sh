#!/usr/bin/env bash
# The program that ships (where it is built), started by whoever runs this test: each of its threads is filtered and without
# privileges, it holds nothing beyond what it serves, and while it takes a plan, chunks and artefacts it opens no file: its
# keeper does, which listens to nothing. tests/unit/test_confine.c tries the single calls.
RECEIVER=${RECEIVER:-build/musl/receiver}
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires curl nbdinfo nbdcopy strace
start_receiver
put_plan $((32 * 1048576))
head -c $((32 * 1048576)) /dev/urandom >"$work/data"
nbdcopy --connections=2 "$work/data" "$(uri "$token/disk0")"
keeper=$(pgrep -P "$receiver_pid" -x recv-keeper) uploader=$(pgrep -P "$receiver_pid" -x recv-uploader)

fact() { # PID NAME: a line of its status
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}
for thread in /proc/"$receiver_pid"/task/*; do
	pid=${thread##*/}
	[ "$(fact "$pid" Seccomp)" = 2 ] || { echo "thread $pid has no filter"; exit 1; }
	[ "$(fact "$pid" NoNewPrivs)" = 1 ] || { echo "thread $pid may gain privileges"; exit 1; }
	for set in CapPrm CapEff CapInh CapAmb; do
		[ "$(fact "$pid" $set)" = 0000000000000000 ] || { echo "thread $pid has capabilities"; exit 1; }
	done
	if [ "$(id -u)" = 0 ]; then
		[ "$(fact "$pid" Uid | tr '\t' ' ')" = "65534 65534 65534 65534" ] || { echo "thread $pid is not nobody"; exit 1; }
		[ "$(fact "$pid" Groups)" = "" ] || { echo "thread $pid has groups"; exit 1; }
	fi
done
[ "$(fact "$keeper" Seccomp)" = 2 ] || { echo "the keeper has no filter"; exit 1; }
[ "$(id -u)" != 0 ] || [ "$(fact "$keeper" CapEff)" = 0000000000000002 ] || { echo "the keeper has more than CAP_DAC_OVERRIDE"; exit 1; }

for set in CapPrm CapEff CapInh CapAmb; do
	[ "$(fact "$uploader" $set)" = 0000000000000000 ] || { echo "the uploader has capabilities"; exit 1; }
done
[ "$(id -u)" != 0 ] || [ "$(fact "$uploader" Uid | tr '\t' ' ')" = "65534 65534 65534 65534" ] || { echo "the uploader is not nobody"; exit 1; }

# What each of them holds.
holds() { # PID
	find "/proc/$1/fd" -type l -printf '%l\n' | grep -v -e '^/dev/null' -e '^pipe:' -e "^$work/\(out\|log\)\$" | sort
}
strange=$(holds "$receiver_pid" | grep -v -e '^socket:' -e '^anon_inode:' -e "^$work/state\$" -e "^$work/state/artefacts\$" -e "^$work/state/lock\$" \
	-e "^$work/files\$" -e "^$work/files/disk0.raw\$" -e "^$work/state/disk0.journal\$" || true)
[ -z "$strange" ] || { echo "the server holds: $strange"; exit 1; }
strange=$(holds "$keeper" | grep -v -e '^socket:' -e '^anon_inode:' -e "^$work/state\$" -e "^$work/state/artefacts\$" -e "^$work/files\$" || true)
[ -z "$strange" ] || { echo "the keeper holds: $strange"; exit 1; }
strange=$(holds "$uploader" | grep -v -e '^socket:' -e '^anon_inode:' || true)
[ -z "$strange" ] || { echo "the uploader holds: $strange"; exit 1; }
[ "$(holds "$keeper" | grep -c '^socket:')" = 1 ] || { echo "the keeper has more than its socket to the server"; exit 1; }

# What talks to object stores is nobody, and has nothing but its end of a socket pair.
strange=$(holds "$uploader" | grep -v -e '^socket:' || true)
[ -z "$strange" ] || { echo "the uploader holds: $strange"; exit 1; }
[ "$(holds "$uploader" | grep -c '^socket:')" = 1 ] || { echo "the uploader has more than its socket to the server"; exit 1; }
[ "$(fact "$uploader" CapPrm)$(fact "$uploader" NoNewPrivs)" = 00000000000000001 ] || { echo "the uploader has privileges"; exit 1; }
[ "$(id -u)" != 0 ] || [ "$(fact "$uploader" Uid | tr '\t' ' ')" = "65534 65534 65534 65534" ] || { echo "the uploader is not nobody"; exit 1; }

# The server's own calls, all of them, while it works.
strace -f -o "$work/calls" -e trace=%file,connect,socket,execve,fork,vfork -p "$receiver_pid" 2>"$work/strace" &
tracer=$!
until grep -q attached "$work/strace" 2>/dev/null; do
	kill -0 $tracer 2>/dev/null || { cat "$work/strace"; echo "cannot be traced here"; exit 77; }
	sleep 0.05
done
put_plan $((32 * 1048576)) $((8 * 1048576))
control PUT /v1/artefact/job.json '{"a": 1}' >/dev/null
[ "$(control GET /v1/artefact/job.json)" = '{"a": 1}' ] || { echo "an artefact is lost"; exit 1; }
control PUT /v1/log 'a line' >/dev/null
control GET /metrics >/dev/null
nbdinfo "$(uri "$token/disk1")" >/dev/null
kill -INT $tracer
wait $tracer || true
! grep -q '(' "$work/calls" || { echo "the server called:"; cat "$work/calls"; exit 1; }
[ -f "$work/files/disk1.raw" ] && [ -f "$work/state/artefacts/source.log" ]

# A server that is killed takes both along, and leaves nothing locked.
end_receiver KILL
start_receiver
for _ in $(seq 100); do
	[ -d "/proc/$keeper" ] || [ -d "/proc/$uploader" ] || break
	sleep 0.05
done
[ ! -d "/proc/$keeper" ] || { echo "the keeper outlives its server"; exit 1; }
[ ! -d "/proc/$uploader" ] || { echo "the uploader outlives its server"; exit 1; }
