#!/usr/bin/env bash
# A journal that is cut, damaged, another's or none, a target that is gone or another, a half key: what can be known is
# used, the rest is refused with a code and what to do, nothing is written then, and after doing that the copy ends equal.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 24
start_receiver --commit-ms 50
send --whole "$work/disk"
stop_receiver
cmp "$work/disk" "$target/disk0.raw"
cp -a "$work/state" "$work/state.good"
# A link, as the journal knows its disk by its inode.
ln "$target/disk0.raw" "$work/disk0.good"
journal=$work/state/disk0.journal

restore() {
	rm -rf "$work/state" "$target"
	cp -a "$work/state.good" "$work/state"
	mkdir "$target"
	ln "$work/disk0.good" "$target/disk0.raw"
}

# refuses CODE WORDS ADVICE
refuses() {
	local rc=0 before after
	before=$(sha256sum "$target"/* 2>/dev/null || true)
	timeout 300 "$RECEIVER" serve --state "$work/state" --files "$target" --listen 127.0.0.1 --control-port 0 --data-port 0 \
		>/dev/null 2>"$work/said" || rc=$?
	[ "$rc" -eq 1 ] || fail "$1: status $rc: $(cat "$work/said")"
	for words in "$1" "$2" "$3"; do
		grep -q -- "$words" "$work/said" || fail "$1: no \"$words\" in $(cat "$work/said")"
	done
	after=$(sha256sum "$target"/* 2>/dev/null || true)
	[ "$before" = "$after" ] || fail "$1: something was changed"
}
# goes_on AT-MOST-CHUNKS WHAT
goes_on() {
	start_receiver --commit-ms 50
	send --whole --compression 0 "$work/disk"
	stop_receiver
	cmp "$work/disk" "$target/disk0.raw" || fail "$2"
	at_most "$(result sent_chunks)" "$1" "$2: chunks sent"
	restore
}

restore
goes_on 0 "an intact journal"

# Cut: what its records said before stands, wherever the cut is.
truncate -s $((128 + 56 * 12)) "$journal"
goes_on 14 "a journal cut between two records"
truncate -s $((128 + 56 * 12 + 31)) "$journal"
goes_on 14 "a journal cut inside a record"
truncate -s 128 "$journal"
goes_on 24 "a journal with nothing but its head"
truncate -s 0 "$journal"
goes_on 24 "an empty journal"

truncate -s 100 "$journal"
refuses JOURNAL_FOREIGN 'too short' 'remove the journal'
rm "$journal"
goes_on 24 "a journal that was removed, as was said"

head -c 4096 /dev/urandom >"$journal"
refuses JOURNAL_FOREIGN 'is not a journal' 'remove the journal'
restore
printf x | dd of="$journal" bs=1 seek=40 conv=notrunc status=none
refuses JOURNAL_FOREIGN 'damaged at its beginning' 'remove the journal'
restore
mv "$journal" "$work/state/disk1.journal"
cp --sparse=always "$target/disk0.raw" "$target/disk1.raw"
refuses JOURNAL_FOREIGN 'another number' 'remove the journal'
restore
cp --sparse=always "$target/disk0.raw" "$work/other"
mv "$work/other" "$target/disk0.raw"
refuses JOURNAL_FOREIGN 'another file' 'give back the disk'
rm "$target/disk0.raw"
refuses JOURNAL_FOREIGN 'is gone' 'give it back'
restore
goes_on 0 "the disk was given back"
truncate -s 25M "$target/disk0.raw"
refuses JOURNAL_FOREIGN 'another size' 'give back the disk'
truncate -s 24M "$target/disk0.raw"
goes_on 0 "the disk has its size again"

# A hole where the journal says data; the storage lost it.
fallocate -p -o $((8 * mib)) -l $((2 * mib)) "$target/disk0.raw"
refuses JOURNAL_CONTRADICTS "$((8 * mib))" 'remove the journal'
rm "$journal"
goes_on 24 "a disk with a new hole, and no journal"
cmp "$work/disk" "$target/disk0.raw"

# Half an identity; a token that is none.
mv "$work/state/key.pem" "$work/key.pem"
refuses IDENTITY_DAMAGED 'key.pem' 'restore key.pem and cert.pem'
mv "$work/key.pem" "$work/state/key.pem"
goes_on 0 "the key was restored"
echo '{"token": "x"' >"$work/state/token.json"
refuses TOKEN_DAMAGED 'token.json' 'Remove token.json'
restore
goes_on 0 "the token was restored"

# Two receivers, one disk, each with a state and a directory of its own.
start_receiver
mkdir "$work/state2" "$work/target2"
rc=0
cp -a "$journal" "$work/state2/"
ln "$target/disk0.raw" "$work/target2/disk0.raw"
timeout 300 "$RECEIVER" serve --state "$work/state2" --files "$work/target2" --listen 127.0.0.1 --control-port 0 --data-port 0 \
	>/dev/null 2>"$work/said" || rc=$?
[ "$rc" -eq 1 ] || fail "a second receiver: status $rc: $(cat "$work/said")"
grep -q TARGET_IN_USE "$work/said" || fail "a second receiver: $(cat "$work/said")"
grep -q 'unmount or stop what uses the target' "$work/said" || fail "a second receiver: no advice: $(cat "$work/said")"
send --whole "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
