#!/usr/bin/env bash
# A receiver that speaks no NBD, stops or leaves in the handshake, answers too long, to nothing or with noise, forgets,
# or whose memory flips bits: the migrator ends with a code and what to do, in time and within its memory; and with an
# honest server in its place the same command ends equal.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ -e /usr/lib/x86_64-linux-gnu/libxxhash.so.0 ] || skip "needs libxxhash"
server='' dir=$work timeout_s=60
trap 'end_server; clean_up' EXIT

random_image "$work/disk" 10
dd if=/dev/zero of="$work/disk" bs=1M seek=7 count=1 conv=notrunc status=none

serve() { # FAULT
	rm -f "$dir/socket" "$dir/socket.stop"
	python3 "$root/tests/e2e/faults/false_server.py" "$dir/socket" $((10 * mib)) "$1" "$dir/got" 2>"$dir/server.log" &
	server=$!
	wait_for 600 test -S "$dir/socket" || fail "the server did not start: $(cat "$dir/server.log")"
}
end_server() {
	[ -n "$server" ] || return 0
	touch "$dir/socket.stop"
	wait "$server" 2>/dev/null || true
	server=
	! grep Traceback "$dir/server.log" || cat "$dir/server.log"
}
push() { # OPTION...
	status=0
	timeout 900 "$MIGRATOR" send --nbd "$dir/socket" --whole --quiet --compression 0 --timeout-s "$timeout_s" --connections 2 "$@" "$work/disk" \
		2>"$dir/said" || status=$?
}
# refused FAULT STATUS CODE WORDS ADVICE
refused() {
	serve "$1"
	push
	end_server
	[ "$status" -eq "$2" ] || fail "$1: status $status instead of $2: $(cat "$dir/said")"
	for words in "$3" "$4" "$5"; do
		grep -q -- "$words" "$dir/said" || fail "$1: no \"$words\" in: $(cat "$dir/said")"
	done
	[ "$(wc -l <"$dir/said")" -lt 20 ] || fail "$1: too many words: $(head -c 2000 "$dir/said")"
}
# The same beside the others, for a server that says nothing more: that is found out when the time is over.
silent=()
refused_in_time() { # as refused
	(
		dir=$work/$1 timeout_s=10
		mkdir "$dir"
		refused "$@"
	) &
	silent+=($!)
}
not_nbd='Something else answers on the receiver'
refused http 1 PEER_NOT_NBD 'greeting is another' "$not_nbd"
refused leaves_at_once 75 PEER_NOT_NBD 'broke off before it said what it is' "$not_nbd"
refused_in_time says_nothing 1 PEER_NOT_NBD 'says nothing' "$not_nbd"
refused_in_time half_a_greeting 1 PEER_NOT_NBD 'says nothing' "$not_nbd"
refused oldstyle 1 PEER_NOT_NBD 'greeting is another' "$not_nbd"
refused_in_time stops_in_the_handshake 75 RECEIVER_UNREACHABLE 'does not answer' 'Check that the receiver runs'
refused leaves_in_the_handshake 75 RECEIVER_UNREACHABLE 'closed the connection' 'Check that the receiver runs'
refused long_option_reply 1 PEER_NOT_NBD 'too long' "$not_nbd"
refused endless_option_replies 1 PEER_NOT_NBD 'too many replies' "$not_nbd"
refused answer_to_another_option 1 PEER_NOT_NBD 'malformed' "$not_nbd"
refused no_size 1 PEER_NOT_NBD 'no size' "$not_nbd"
refused absurd_block_size 1 PEER_NOT_NBD 'malformed' "$not_nbd"
refused other_chunks 1 PEER_NOT_NBD 'not asked for' "$not_nbd"
refused too_small 1 TARGET_TOO_SMALL 'needs 10485760 bytes, its target has 1048576' 'larger disk'
refused answers_to_nothing 1 PEER_NOT_NBD 'answer to nothing' "$not_nbd"
refused no_answer_but_noise 1 PEER_NOT_NBD 'breaks the protocol' "$not_nbd"
refused long_answer 1 PEER_NOT_NBD 'wrong length' "$not_nbd"
refused_in_time no_answer 75 RECEIVER_UNREACHABLE 'does not answer' 'Check that the receiver runs'
refused digests_beyond_the_end 1 PEER_NOT_NBD 'report is malformed' "$not_nbd"
refused garbled_digests 1 PEER_NOT_NBD 'report is malformed' "$not_nbd"
refused no_end_of_digests 1 PEER_NOT_NBD 'report' "$not_nbd"
refused durable_is_short 1 PEER_NOT_NBD 'report is malformed' "$not_nbd"
refused medium_full_at_the_end 1 TARGET_FULL 'no space left' 'Make room'
refused forgets_what_it_acknowledged 1 RECEIVER_LOST_CHUNKS 'lacks chunks' 'lost what it had said was safe'
refused always_flipped_bits 1 CHUNK_CORRUPTED 'chunk at byte 5242880 arrived damaged 3 times' 'Test the source'
for pid in "${silent[@]}"; do
	wait "$pid" || exit 1
done

arrives() { # FAULT OPTION...
	serve "$1"
	push "${@:2}"
	end_server
	[ "$status" -eq 0 ] || fail "$1: status $status: $(cat "$dir/said")"
	cmp "$work/disk" "$dir/got" || fail "$1"
}
arrives one_flipped_bit
arrives dies_half_way --patience-s 600
arrives none
