#!/usr/bin/env bash
# Without a token, LIST says nothing, unless the receiver was started with --allow-list.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires nbdinfo
/usr/bin/python3 -c 'import nbd' || { echo 'needs python3-libnbd'; exit 77; }
start_receiver
put_plan 1048576 2097152
refused nbdinfo --list "$(uri '')"
refused nbdinfo "$(uri disk0)"
# On a connection that has shown the token by INFO, LIST answers.
/usr/bin/python3 - <<END
import nbd

h = nbd.NBD()
h.set_opt_mode(True)
h.set_tls(nbd.TLS_REQUIRE)
h.set_tls_certificates("$work/pki")
h.connect_tcp("127.0.0.1", "$data_port")
h.set_export_name("$token/disk1")
h.opt_info()
assert h.get_size() == 2097152
names = []
h.opt_list(lambda name, description: names.append(name))
assert names == ["disk0", "disk1"], names
h.opt_abort()
END
end_receiver TERM
start_receiver --allow-list
list=$(nbdinfo --list "$(uri '')")
grep -q 'export="disk0"' <<<"$list"
grep -q 'export-size: 2097152' <<<"$list"
# Names and sizes are all that it gives.
refused nbdinfo --map "$(uri disk0)"
