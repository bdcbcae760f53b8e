#!/usr/bin/env bash
# A mistyped code, a wrong pin, a wrong, used-up or expired token, a receiver that is not there: each has a code and says
# what to do, the source tells nobody its token before the pin holds, and with the right code the copy ends equal.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

random_image "$work/disk" 8
random_image "$work/other" 8
start_receiver --token-uses 2
good=$activation

# code_with FIELD: the same code with one bit of it changed, and a checksum that fits.
code_with() {
	python3 - "$good" "$1" <<'END'
import base64, hashlib, sys

code, field = sys.argv[1:]
text = code.split(".", 1)[1]
raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
ports = 2 + raw[1]
if field == "pin":
    raw[ports + 4] ^= 1
elif field == "token":
    raw[ports + 4 + 32] ^= 1
elif field == "ports":
    raw[ports : ports + 4] = b"\0\1\0\1"
raw[-4:] = hashlib.sha256(raw[:-4]).digest()[:4]
print("coldlift1." + base64.urlsafe_b64encode(raw).decode().rstrip("="))
END
}

# refused STATUS CODE WORDS ADVICE
refused() {
	local rc=0
	: >"$work/migrator.log"
	send --whole "$work/disk" || rc=$?
	[ "$rc" -eq "$1" ] || fail "$2: status $rc instead of $1: $(cat "$work/migrator.log")"
	for words in "$2" "$3" "$4"; do
		grep -q -- "$words" "$work/migrator.log" || fail "$2: no \"$words\" in $(cat "$work/migrator.log")"
	done
	[ ! -e "$target/disk0.raw" ] || [ -n "${kept:-}" ] || fail "$2: something was written"
}

activation=${good%?}
refused 1 ACTIVATION_BAD 'activation code' 'Copy the activation code again'
activation=hello
refused 1 ACTIVATION_BAD 'activation code' 'Copy the activation code again'
activation=$(code_with pin)
refused 1 PIN_MISMATCH 'another key' 'Another machine answers'
grep -qi 'token' "$work/receiver.log" && fail "the token was shown before the pin held"
activation=$(code_with token)
refused 1 TOKEN_REFUSED 'token' 'used up, expired or of another receiver'
activation=$(code_with ports)
refused 75 RECEIVER_UNREACHABLE 'refused' 'Check that the receiver runs'

# The right one; a run that goes on is no further use, another copy is one, and a third is too many.
activation=$good
kept=1
send --whole "$work/disk"
send --whole "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
send --whole "$work/other"
cmp "$work/other" "$target/disk0.raw"
touch "$work/disk"
refused 1 TOKEN_REFUSED 'used' 'used up'
cmp "$work/other" "$target/disk0.raw"

# Expired: nothing is left of its lifetime.
stop_receiver
sed -i 's/"left_s": *[0-9]*/"left_s": 0/; s/"uses_left": *[0-9]*/"uses_left": 5/' "$work/state/token.json"
start_receiver
refused 1 TOKEN_REFUSED 'expired' 'used up, expired'

# What the receiver says to do about it works: a new code, and only what is lacking is sent.
stop_receiver
rm "$work/state/token.json"
start_receiver
[ "$activation" != "$good" ] || fail "the code is the old one"
send --whole "$work/disk"
cmp "$work/disk" "$target/disk0.raw"
