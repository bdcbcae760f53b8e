#!/usr/bin/env bash
# With files as targets the receiver needs no privileges: a user who owns two directories runs it, whole.
RECEIVER=${RECEIVER:-build/musl/receiver}
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires curl nbdcopy setpriv cmp
[ "$(id -u)" = 0 ] || { echo "needs root, to become nobody"; exit 77; }
chmod 755 "$work"
mkdir "$work/home" "$work/home/state"
cp "$program" "$work/receiver"
cat >"$work/as-nobody" <<END
#!/bin/sh
exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$work/receiver" "\$@"
END
chmod 755 "$work/as-nobody" "$work/receiver"
chown 65534:65534 "$work/home" "$work/home/state"
ln -s home/state "$work/state"
program=$work/as-nobody
targets=(--files "$work/home/files")
start_receiver
[ "$(stat -c %u "$work/home/files")" = 65534 ]
put_plan $((8 * 1048576))
head -c $((8 * 1048576)) /dev/urandom >"$work/data"
nbdcopy --connections=2 "$work/data" "$(uri "$token/disk0")"
cmp "$work/data" "$work/home/files/disk0.raw"
grep -q '^Seccomp:[[:space:]]*2' "/proc/$receiver_pid/status"
end_receiver TERM
start_receiver
nbdcopy "$(uri "$token/disk0")" "$work/back"
cmp "$work/data" "$work/back"
end_receiver TERM
# Only root can become somebody.
status=0
"$program" serve --state "$work/state" "${targets[@]}" --listen 127.0.0.1 --control-port 0 --data-port 0 --user daemon 2>"$work/refusal" || status=$?
[ $status = 1 ] && grep -q USER_UNKNOWN "$work/refusal"
# Somebody else's state is not touched.
mkdir -m 700 "$work/roots"
status=0
"$program" serve --state "$work/roots" "${targets[@]}" --listen 127.0.0.1 --control-port 0 --data-port 0 2>"$work/refusal" || status=$?
[ $status = 1 ] && grep -q 'Permission denied' "$work/refusal"
