#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A migrator that is killed in the middle of the copy and started again in the same boot takes up the views that
# stand, sends only what is missing, and the copy is whole.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/lib-copy.sh
. "$(dirname "$0")/lib-copy.sh"
copy_needs
copy_source 300 sda1
copy_receiver

copy_boot source '{"rate_mbit": 64, "compression": 0}' -device ahci,id=ahci \
	-drive "if=none,id=d0,format=raw,file=$disk" -device ide-hd,bus=ahci.0,drive=d0
copy_middle source 100
vm_shell source
vm_prompt source
# Detached, as the init script takes the port for another shell once the migrator has ended. 75 is what passes: the receiver
# may not have noticed yet that the first has gone.
again='killall -9 migrator; while pidof migrator; do sleep 0.2; done; s=75; while [ $s = 75 ]; do COLDLIFT_CONSOLES= migrator run --cmdline; s=$?; done'
vm_line source "setsid sh -c '$again; echo second status \$s \$(grep -c views.that.stand /run/coldlift/migrator.log) >/dev/ttyS0' </dev/null >/dev/null 2>&1 &"
vm_wait source 600 'migrate killed by signal 9'
copy_goes_on
vm_wait source 600 'second status [0-9]+ [0-9]+'
vm_says source 'second status 0 [1-9]' || fail "the second did not go on with the views that stand"
vm_stop source

[ "$(sha256sum <"$disk")" = "$before" ] || fail "the source changed"
copy_is_equal

# Its log is at the receiver, and nothing in it opens one.
log=$vm_dir/state/artefacts/source.log
grep -q 'views that stand' "$log" || fail "the log did not arrive: $(tail -n 3 "$log")"
token=$(sed -n 's/.*"token": "\([0-9a-f]*\)".*/\1/p' "$vm_dir/state/token.json")
[ -n "$token" ] || fail "no token to look for"
! grep -qiF -e "$token" -e "${code#*.}" "$log" || fail "the log has the token or the activation code"
