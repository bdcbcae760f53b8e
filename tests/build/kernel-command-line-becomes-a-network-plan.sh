#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut's network words become the plan that is written below them, or an error that says what is wrong.
set -eu
cd "$(dirname "$0")/../.."
. initramfs/lib-net.sh

failed=0
expect() { # WORDS, the plan on standard input
	want=$(cat)
	got=$(net_plan "$1" || true)
	[ "$got" = "$want" ] && return
	printf 'for: %s\nexpected:\n%s\ngot:\n%s\n\n' "$1" "$want" "$got"
	failed=1
}

expect 'quiet console=ttyS0 coldlift.mode=shell' <<'PLAN'
addr * dhcp - - - -
PLAN
expect 'ip=dhcp BOOTIF=01-52-54-00-AB-CD-EF' <<'PLAN'
bootif 52:54:00:ab:cd:ef
addr * dhcp - - - -
PLAN
expect 'ip=10.0.0.2::10.0.0.1:255.255.255.0:host:eth0:none' <<'PLAN'
host host
addr eth0 static 10.0.0.2/24 10.0.0.1 - -
PLAN
expect 'ip=10.0.0.2::10.0.0.1:255.255.254.0::eth0:none:1.1.1.1:8.8.8.8 nameserver=9.9.9.9' <<'PLAN'
addr eth0 static 10.0.0.2/23 10.0.0.1 - -
dns 9.9.9.9
dns 1.1.1.1
dns 8.8.8.8
PLAN
expect 'ip=10.0.0.2/24::10.0.0.1:::eth0:none:9000:aa:bb:cc:dd:ee:ff rd.route=10.9.0.0/16:10.0.0.3:eth0' <<'PLAN'
addr eth0 static 10.0.0.2/24 10.0.0.1 9000 aa:bb:cc:dd:ee:ff
route 10.9.0.0/16 10.0.0.3 eth0
PLAN
expect 'ip=eth1:dhcp:1400 ip=eth0:none ip=eth2:dhcp::52:54:00:00:00:01' <<'PLAN'
addr eth1 dhcp - - 1400 -
addr eth0 none - - - -
addr eth2 dhcp - - - 52:54:00:00:00:01
PLAN
expect 'ip=:::::eth0:dhcp' <<'PLAN'
addr eth0 dhcp - - - -
PLAN
expect 'vlan=eth0.0005:eth0' <<'PLAN'
vlan eth0.0005 eth0 5
addr eth0.0005 dhcp - - - -
PLAN
expect 'vlan=vlan7:bond0 bond=bond0:eth0,eth1:mode=active-backup,miimon=100:9000 ip=10.0.0.2:::24::vlan7:none' <<'PLAN'
bond bond0 eth0,eth1 mode=active-backup,miimon=100 9000
vlan vlan7 bond0 7
addr vlan7 static 10.0.0.2/24 - - -
PLAN
expect 'bond' <<'PLAN'
addr * dhcp - - - -
PLAN
expect 'bond=bond0' <<'PLAN'
bond bond0 eth0,eth1 mode=balance-rr -
addr bond0 dhcp - - - -
PLAN
expect 'ip=[2001:db8::2]::[2001:db8::1]:64:h:eth0:none nameserver=2001:db8::53 nameserver=[::1]' <<'PLAN'
host h
addr eth0 static 2001:db8::2/64 2001:db8::1 - -
dns 2001:db8::53
dns ::1
PLAN
expect 'ifname=lan0:52:54:00:AA:BB:CC ip=lan0:dhcp' <<'PLAN'
ifname lan0 52:54:00:aa:bb:cc
addr lan0 dhcp - - - -
PLAN
expect 'ip=10.0.0.2::10.0.0.1:255.0.255.0::eth0:none' <<'PLAN'
error ip=10.0.0.2::10.0.0.1:255.0.255.0::eth0:none: '255.0.255.0' is not a netmask or prefix length
PLAN
expect 'ip=dhpc' <<'PLAN'
error ip=dhpc: not an address or a method (dhcp, auto6, none)
PLAN
expect 'ip=eth0:dhpc' <<'PLAN'
error ip=eth0:dhpc: expected INTERFACE:dhcp, auto6 or none
PLAN
expect 'ip=10.0.0.2::10.0.0.1:24::../../x:none' <<'PLAN'
error ip=10.0.0.2::10.0.0.1:24::../../x:none: '../../x' is not an interface name
PLAN
expect 'vlan=eth0.4095:eth0' <<'PLAN'
error vlan=eth0.4095:eth0: expected NAME:DEVICE, NAME ending in a number from 1 to 4094
PLAN
expect 'vlan=lan:eth0' <<'PLAN'
error vlan=lan:eth0: expected NAME:DEVICE, NAME ending in a number from 1 to 4094
PLAN
expect 'bond=bond0:eth0:mode' <<'PLAN'
error bond=bond0:eth0:mode: option 'mode' is not NAME=VALUE
PLAN
expect 'nameserver=dns.example' <<'PLAN'
error nameserver=dns.example: not an address
PLAN
exit $failed
