#!/usr/bin/env bash
# The program that ships (where it is built), started by whoever runs this test: each thread of its three processes is filtered
# and without privileges, it holds nothing beyond what it serves, and while it takes a plan, chunks and artefacts the server
# opens no file: its keeper does, which listens to nothing, as the user to whom the state belongs. Had somebody a process in
# his hand, it could make none of the calls that lead out: each is tried from the inside. tests/unit/test_confine.c tries more.
RECEIVER=${RECEIVER:-build/musl/receiver}
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires curl nbdinfo nbdcopy strace python3
start_receiver
put_plan $((32 * 1048576))
head -c $((32 * 1048576)) /dev/urandom >"$work/data"
nbdcopy --connections=2 "$work/data" "$(uri "$token/disk0")"
fact() { # PID NAME: a line of its status
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}
# The uploader gives up its privileges by itself, while the server begins: it may not have come so far yet.
part() { # NAME: the process of the receiver
	local pid
	for _ in $(seq 1200); do
		if pid=$(pgrep -P "$receiver_pid" -x "$1") && [ "$(fact "$pid" Seccomp)" = 2 ]; then break; fi
		sleep 0.05
	done
	echo "$pid"
}
keeper=$(part recv-keeper) uploader=$(part recv-uploader)
unprivileged() { # NAME PID USER
	for thread in /proc/"$2"/task/*; do
		pid=${thread##*/}
		[ "$(fact "$pid" Seccomp)" = 2 ] || { echo "$1: thread $pid has no filter"; exit 1; }
		[ "$(fact "$pid" NoNewPrivs)" = 1 ] || { echo "$1: thread $pid may gain privileges"; exit 1; }
		for set in CapPrm CapEff CapInh CapAmb; do
			[ "$(fact "$pid" $set)" = 0000000000000000 ] || { echo "$1: thread $pid has capabilities"; exit 1; }
		done
		if [ "$(id -u)" = 0 ]; then
			[ "$(fact "$pid" Uid | tr '\t' ' ')" = "$3 $3 $3 $3" ] || { echo "$1: thread $pid is not $3"; exit 1; }
			[ "$(fact "$pid" Gid | tr '\t' ' ')" = "$3 $3 $3 $3" ] || { echo "$1: thread $pid is not of $3"; exit 1; }
			[ "$(fact "$pid" Groups)" = "" ] || { echo "$1: thread $pid has groups"; exit 1; }
		fi
	done
}
unprivileged server "$receiver_pid" 65534
unprivileged uploader "$uploader" 65534
unprivileged keeper "$keeper" 65533
[ "$(id -u)" != 0 ] || [ "$(stat -c %u "$work/state" "$work/state/token.json" "$work/state/key.pem" "$work/files/disk0.raw" | sort -u)" = 65533 ] ||
	{ echo "not all of the state is the keeper's"; ls -lR "$work/state" "$work/files"; exit 1; }

# From the inside.
out_of_here="creat:/tmp/coldlift-must-not-be stat:/etc newfstatat:/etc newfstatat_empty: readlink:/proc/self/exe access:/etc
	unlink:/tmp/coldlift-must-not-be chmod:/tmp/coldlift-must-not-be chdir:/ execve:/bin/true fork clone ptrace kill setuid mount:/
	unshare memfd_create:x socket_unix socket_netlink listen"
tried() { # PID CALL...: what came back, one line each
	local status=0
	python3 tests/proto/call_in.py "$@" >"$work/tried" 2>&1 || status=$?
	[ $status != 77 ] || { cat "$work/tried"; exit 77; }
	[ $status = 0 ] || { echo "$*:"; cat "$work/tried"; exit 1; }
}
none_works() { # NAME PID CALL...
	local name=$1
	shift
	tried "$@"
	! grep -v -e ' -Operation not permitted$' -e ' -Permission denied$' "$work/tried" || { echo "$name could call this"; exit 1; }
}
if [ "$(id -u)" = 0 ] || [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ]; then
	# A process without a filter can: the trial itself works.
	sleep 1000 &
	free=$!
	until [ "$(cat /proc/$free/comm)" = sleep ]; do sleep 0.05; done
	until grep -q '^State:.S' /proc/$free/status; do sleep 0.05; done
	tried $free open:/etc/hosts openat:/etc/passwd stat:/etc socket_unix memfd_create:x getpid
	! grep -e ' -' "$work/tried" || { echo "the trial shows nothing"; exit 1; }
	grep -qx "getpid $free" "$work/tried" || { echo "it is another process: $(cat "$work/tried")"; exit 1; }
	kill $free

	# shellcheck disable=SC2086 # words on purpose
	none_works "the server" "$receiver_pid" open:/etc/hosts openat:/etc/hosts openat_new:/tmp/coldlift-must-not-be \
		socket_inet socket_inet6 connect:x $out_of_here
	# shellcheck disable=SC2086
	none_works "the keeper" "$keeper" openat:/etc/shadow openat_new:/etc/coldlift-must-not-be socket_inet socket_inet6 connect:x $out_of_here
	# shellcheck disable=SC2086
	none_works "the uploader" "$uploader" $out_of_here
	tried "$uploader" open:/etc/hosts openat:/etc/shadow openat_new:/tmp/coldlift-must-not-be
	[ "$(grep -c ' trapped$' "$work/tried")" = 3 ] || { echo "the uploader opens:"; cat "$work/tried"; exit 1; }
	tried "$uploader" socket_inet socket_inet6
	! grep ' -' "$work/tried" || { echo "the uploader cannot reach a store"; exit 1; }
	[ ! -e /tmp/coldlift-must-not-be ] && [ ! -e /etc/coldlift-must-not-be ]
fi

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
[ "$(holds "$keeper" | grep -c '^socket:')" = 2 ] || { echo "the keeper has more than its sockets to server and uploader"; exit 1; }

# Its ends of the pairs to server and keeper, and the two sockets of the trial.
[ "$(holds "$uploader" | grep -c '^socket:')" -le 4 ] || { echo "the uploader has more than its sockets"; exit 1; }

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
for _ in $(seq 2000); do
	[ -d "/proc/$keeper" ] || [ -d "/proc/$uploader" ] || break
	sleep 0.05
done
[ ! -d "/proc/$keeper" ] || { echo "the keeper outlives its server"; exit 1; }
[ ! -d "/proc/$uploader" ] || { echo "the uploader outlives its server"; exit 1; }
end_receiver TERM
[ "$(id -u)" = 0 ] || exit 0

# A state that is somebody's: the keeper is that user. Files among other things: they stay whose they are, and the one right
# that is kept for them is said.
rm -rf "$work/state" "$work/files"
mkdir -m 700 "$work/state" "$work/files"
chown 12345:12346 "$work/state" "$work/files"
start_receiver
put_plan 1048576
keeper=$(part recv-keeper)
[ "$(fact "$keeper" Uid | cut -f 1),$(fact "$keeper" Gid | cut -f 1),$(fact "$keeper" CapEff)" = 12345,12346,0000000000000000 ] ||
	{ echo "the keeper is not the state's owner"; exit 1; }
[ "$(stat -c %u "$work/files/disk0.raw")" = 12345 ]
end_receiver TERM
rm -rf "$work/state" "$work/files"
mkdir "$work/files"
echo other >"$work/files/other"
: >"$work/log"
start_receiver
put_plan 1048576
keeper=$(part recv-keeper)
[ "$(fact "$keeper" Uid | cut -f 1),$(fact "$keeper" CapEff)" = 65533,0000000000000002 ] || { echo "the keeper cannot work"; exit 1; }
grep -q "$work/files has other things in it" "$work/log" || { echo "it is not said"; exit 1; }
[ "$(stat -c %u "$work/files" "$work/files/other" | sort -u)" = 0 ] || { echo "the directory was handed over"; exit 1; }
