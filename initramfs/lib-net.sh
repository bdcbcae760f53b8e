# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154 # net_1 to net_15 are set by net_split
# The network of the live image, from dracut's words on the kernel command line. POSIX sh, for BusyBox.
#
# net_plan turns the command line into plain lines, without touching anything; net_apply carries such
# lines out; net_wait waits until one interface has an address. Kept apart so that the first can be
# tested by comparing text and the second with a stand-in for ip and /sys.
#
# A plan's lines, fields separated by blanks, "-" for what was not given:
#   error TEXT                                     the command line is wrong; nothing else counts
#   ifname NAME MAC
#   bond NAME MEMBER,MEMBER OPTION,OPTION MTU
#   vlan NAME DEVICE ID
#   addr INTERFACE dhcp|auto6|none|static ADDRESS/PREFIX GATEWAY MTU MAC   (INTERFACE "*": every card)
#   route NETWORK/PREFIX|default GATEWAY INTERFACE
#   dns ADDRESS
#   host NAME

: "${NET_SYS:=/sys}"           # where sysfs is
: "${NET_RUN:=/run/coldlift/net}" # state: plan, leases, pid files, "up"
: "${NET_ETC:=/etc}"           # where resolv.conf goes
: "${NET_DHCP_SCRIPT:=/etc/coldlift/udhcpc.sh}"

# STRING: sets net_1 to net_15 to the fields between colons and net_count; a field in square brackets
# may contain colons.
net_split() {
	net_rest=$1 net_count=0
	while [ $net_count -lt 15 ]; do
		net_count=$((net_count + 1))
		case $net_rest in
		"["*"]"*)
			net_field=${net_rest#?}
			net_field=${net_field%%]*}
			net_rest=${net_rest#*]}
			;;
		*:*)
			net_field=${net_rest%%:*}
			net_rest=:${net_rest#*:}
			;;
		*)
			net_field=$net_rest
			net_rest=
			;;
		esac
		eval "net_$net_count=\$net_field"
		case $net_rest in
		:*) net_rest=${net_rest#:} ;;
		*) break ;;
		esac
	done
	net_field=$net_count
	while [ "$net_field" -lt 15 ]; do
		net_field=$((net_field + 1))
		eval "net_$net_field="
	done
}

# Prints the prefix length of a netmask (or of a prefix length), nothing if it is neither.
net_prefix() {
	case $1 in
	'' | *[!0-9.]*) return 0 ;;
	*.*.*.*) ;;
	*.*) return 0 ;;
	*)
		[ "$1" -le 128 ] && echo "$1"
		return 0
		;;
	esac
	net_bits=0 net_end='' net_rest=$1.
	while [ -n "$net_rest" ]; do
		net_field=${net_rest%%.*}
		net_rest=${net_rest#*.}
		if [ -n "$net_end" ] && [ "$net_field" != 0 ]; then return 0; fi
		case $net_field in
		255) net_bits=$((net_bits + 8)) ;;
		254) net_bits=$((net_bits + 7)) net_end=1 ;;
		252) net_bits=$((net_bits + 6)) net_end=1 ;;
		248) net_bits=$((net_bits + 5)) net_end=1 ;;
		240) net_bits=$((net_bits + 4)) net_end=1 ;;
		224) net_bits=$((net_bits + 3)) net_end=1 ;;
		192) net_bits=$((net_bits + 2)) net_end=1 ;;
		128) net_bits=$((net_bits + 1)) net_end=1 ;;
		0) net_end=1 ;;
		*) return 0 ;;
		esac
	done
	echo $net_bits
}

net_is_address() {
	case $1 in
	*:*) case $1 in *[!0-9a-fA-F:.]*) return 1 ;; *) return 0 ;; esac ;;
	*[!0-9.]* | '' | *..* | .* | *.) return 1 ;;
	*.*.*.*.*) return 1 ;;
	*.*.*.*) return 0 ;;
	esac
	return 1
}

net_is_mac() {
	case $1 in
	[0-9a-fA-F][0-9a-fA-F]:[0-9a-fA-F][0-9a-fA-F]:[0-9a-fA-F][0-9a-fA-F]:[0-9a-fA-F][0-9a-fA-F]:[0-9a-fA-F][0-9a-fA-F]:[0-9a-fA-F][0-9a-fA-F])
		return 0 ;;
	esac
	return 1
}

# An interface name that is safe in a path under /sys.
net_is_name() {
	case $1 in
	'' | . | .. | *[!A-Za-z0-9._-]*) return 1 ;;
	esac
	[ ${#1} -le 15 ]
}

net_method() { # prints dhcp, auto6 or none for dracut's word, nothing for another word
	case $1 in
	dhcp | on | any | both | dhcp4) echo dhcp ;;
	auto6 | dhcp6 | either6) echo auto6 ;;
	none | off) echo none ;;
	esac
}

# What may follow the method: [mtu][:mac], where the mac's colons were split; or dns1[:dns2].
net_tail() { # FIELDS...: sets net_mtu, net_mac and appends to net_dns
	net_mtu=- net_mac=-
	if net_is_address "${1:-}"; then
		net_dns="$net_dns $1"
		[ -z "${2:-}" ] || net_dns="$net_dns $2"
		return 0
	fi
	if [ $# -ge 6 ] && net_is_mac "$1:$2:$3:$4:$5:$6"; then
		net_mac=$1:$2:$3:$4:$5:$6
		return 0
	fi
	case ${1:-} in
	'') ;;
	*[!0-9]*) return 1 ;;
	*) net_mtu=$1 ;;
	esac
	[ $# -gt 1 ] || return 0
	shift
	while [ $# -gt 0 ] && [ -z "$1" ]; do shift; done
	[ $# -gt 0 ] || return 0
	if net_is_address "$1"; then
		net_dns="$net_dns $1"
		return 0
	fi
	net_is_mac "$1:${2:-}:${3:-}:${4:-}:${5:-}:${6:-}" || return 1
	net_mac=$1:$2:$3:$4:$5:$6
}

net_plan_ip() { # VALUE of ip=
	net_split "$1"
	if [ $net_count -eq 1 ]; then
		net_how=$(net_method "$net_1")
		[ -n "$net_how" ] || { echo "error ip=$1: not an address or a method (dhcp, auto6, none)"; return 1; }
		echo "addr * $net_how - - - -"
		return 0
	fi
	if [ -n "$net_1" ] && ! net_is_address "${net_1%/*}"; then
		net_how=$(net_method "$net_2")
		if [ -z "$net_how" ] || ! net_is_name "$net_1"; then
			echo "error ip=$1: expected INTERFACE:dhcp, auto6 or none"
			return 1
		fi
		net_tail "$net_3" "$net_4" "$net_5" "$net_6" "$net_7" "$net_8" "$net_9" ||
			{ echo "error ip=$1: expected MTU and hardware address after the method"; return 1; }
		echo "addr $net_1 $net_how - - $net_mtu $net_mac"
		return 0
	fi
	# client:peer:gateway:netmask:hostname:interface:method
	net_how=$(net_method "${net_7:-none}")
	net_if=${net_6:-*}
	if [ "$net_if" != "*" ] && ! net_is_name "$net_if"; then
		echo "error ip=$1: '$net_6' is not an interface name"
		return 1
	fi
	[ -n "$net_how" ] || { echo "error ip=$1: '$net_7' is not a method (dhcp, auto6, none)"; return 1; }
	[ -z "$net_5" ] || echo "host $net_5"
	net_tail "$net_8" "$net_9" "$net_10" "$net_11" "$net_12" "$net_13" "$net_14" ||
		{ echo "error ip=$1: expected MTU or name servers after the method"; return 1; }
	if [ -z "$net_1" ]; then
		echo "addr $net_if $net_how - - $net_mtu $net_mac"
		return 0
	fi
	case $net_1 in
	*/*) net_bits=$(net_prefix "${net_1#*/}") net_1=${net_1%/*} ;;
	*) net_bits=$(net_prefix "${net_4:-}") ;;
	esac
	[ -n "$net_bits" ] || { echo "error ip=$1: '$net_4' is not a netmask or prefix length"; return 1; }
	if [ -n "$net_3" ] && ! net_is_address "$net_3"; then
		echo "error ip=$1: the gateway '$net_3' is not an address"
		return 1
	fi
	echo "addr $net_if static $net_1/$net_bits ${net_3:--} $net_mtu $net_mac"
}

net_plan_vlan() { # VALUE of vlan=
	net_split "$1"
	# The number is what the name ends in: vlan5, vlan0005, eth0.5, eth0.0005.
	net_id=${net_1##*[!0-9]}
	net_id=${net_id#"${net_id%%[!0]*}"}
	if [ $net_count -ne 2 ] || ! net_is_name "$net_1" || ! net_is_name "$net_2" ||
		[ -z "$net_id" ] || [ ${#net_id} -gt 4 ] || [ "$net_id" -gt 4094 ]; then
		echo "error vlan=$1: expected NAME:DEVICE, NAME ending in a number from 1 to 4094"
		return 1
	fi
	echo "vlan $net_1 $net_2 $net_id"
}

net_plan_bond() { # VALUE of bond=
	net_split "$1"
	: "${net_1:=bond0}"
	: "${net_2:=eth0,eth1}"
	if ! net_is_name "$net_1"; then
		echo "error bond=$1: '$net_1' is not an interface name"
		return 1
	fi
	for net_field in $(echo "$net_2" | tr ',' ' '); do
		net_is_name "$net_field" || { echo "error bond=$1: '$net_field' is not an interface name"; return 1; }
	done
	for net_field in $(echo "$net_3" | tr ',' ' '); do
		case $net_field in
		*[!A-Za-z0-9_=.\;:+-]* | =* | *=) ;;
		*=*) continue ;;
		esac
		echo "error bond=$1: option '$net_field' is not NAME=VALUE"
		return 1
	done
	echo "bond $net_1 $net_2 ${net_3:-mode=balance-rr} ${net_4:--}"
}

net_plan_word() { # one WORD of the command line
	case $1 in
	ip=*) net_plan_ip "${1#ip=}" ;;
	vlan=*) net_plan_vlan "${1#vlan=}" ;;
	bond=*) net_plan_bond "${1#bond=}" ;;
	ifname=*)
		net_word=${1#ifname=}
		if net_is_name "${net_word%%:*}" && net_is_mac "${net_word#*:}"; then
			echo "ifname ${net_word%%:*} $(echo "${net_word#*:}" | tr 'A-F' 'a-f')"
		else
			echo "error $1: expected ifname=NAME:MAC"
			return 1
		fi
		;;
	nameserver=*)
		net_split "${1#nameserver=}"
		net_word=${1#nameserver=}
		case $net_word in "["*"]") net_word=$net_1 ;; esac
		net_is_address "$net_word" || { echo "error $1: not an address"; return 1; }
		echo "dns $net_word"
		;;
	rd.route=*)
		net_split "${1#rd.route=}"
		if ! net_is_address "${net_1%/*}" || ! net_is_address "$net_2"; then
			echo "error $1: expected rd.route=NETWORK/PREFIX:GATEWAY[:INTERFACE]"
			return 1
		fi
		echo "route $net_1 $net_2 ${net_3:--}"
		;;
	BOOTIF=*)
		# What PXE loaders say: 01-52-54-00-12-34-56, the card that they booted from.
		net_bootif=$(echo "${1#BOOTIF=}" | tr 'A-F-' 'a-f:')
		net_bootif=${net_bootif#??:}
		;;
	esac
}

# TEXT of the kernel command line. Returns 1 if there was an error line.
net_plan() {
	net_dns='' net_bootif='' net_bad=0
	net_text=$1
	net_lines=$(
		set -f
		for net_item in $net_text; do
			net_plan_word "$net_item" || exit 1
		done
		for net_item in $net_dns; do echo "dns $net_item"; done
		[ -z "$net_bootif" ] || echo "bootif $net_bootif"
	) || net_bad=1
	if [ $net_bad -eq 1 ]; then
		echo "$net_lines" | grep '^error'
		return 1
	fi
	# No ip= at all: DHCP, on the topmost device that was asked for, else on every card.
	case "
$net_lines" in
	*"
addr "*) ;;
	*)
		net_top=$(echo "$net_lines" | sed -n 's/^bond \([^ ]*\).*/\1/p' | head -n 1)
		net_top=$(echo "$net_lines" | sed -n 's/^vlan \([^ ]*\).*/\1/p' | head -n 1 | grep . || echo "$net_top")
		net_lines="$net_lines
addr ${net_top:-*} dhcp - - - -"
		;;
	esac
	# In the order in which they are carried out.
	for net_item in host ifname bond vlan bootif addr route dns; do
		echo "$net_lines" | grep "^$net_item " || true
	done
}

# ---- carrying out ----

# A card may come late (USB, firmware). Waits for NAME, up to 10 s.
net_await() {
	net_tries=0
	until [ -e "$NET_SYS/class/net/$1" ]; do
		net_tries=$((net_tries + 1))
		[ $net_tries -le 50 ] || { net_say "interface $1 did not appear"; return 1; }
		sleep 0.2
	done
}

net_say() { echo "network: $*" >&2; }

# Real Ethernet cards, in the kernel's order, members of a bond left out; with BOOTIF only that one.
net_cards() {
	for net_dir in "$NET_SYS"/class/net/*; do
		[ -e "$net_dir/device" ] || continue
		[ "$(cat "$net_dir/type" 2>/dev/null)" = 1 ] || continue
		[ ! -e "$net_dir/bonding_slave" ] || continue
		if [ -n "$net_bootif" ] && [ "$(cat "$net_dir/address")" != "$net_bootif" ]; then continue; fi
		echo "${net_dir##*/}"
	done
}

# Waits for the first of them, up to 10 s.
net_await_card() {
	net_tries=0
	until [ -n "$(net_cards)" ]; do
		net_tries=$((net_tries + 1))
		[ $net_tries -le 50 ] || return 1
		sleep 0.2
	done
}

net_do_ifname() { # NAME MAC
	for net_dir in "$NET_SYS"/class/net/*; do
		[ -e "$net_dir/device" ] || continue
		[ "$(cat "$net_dir/address" 2>/dev/null)" = "$2" ] || continue
		net_old=${net_dir##*/}
		[ "$net_old" != "$1" ] || return 0
		ip link set "$net_old" down
		# Somebody else may have the name already.
		[ ! -e "$NET_SYS/class/net/$1" ] || ip link set "$1" name "was-$1"
		ip link set "$net_old" name "$1"
		return
	done
	net_say "there is no card with address $2"
	return 1
}

net_do_bond() { # NAME MEMBERS OPTIONS MTU
	net_await bonding_masters || return 1
	[ -e "$NET_SYS/class/net/$1" ] || echo "+$1" >"$NET_SYS/class/net/bonding_masters" || return 1
	net_bond=$NET_SYS/class/net/$1/bonding
	# The mode first: others depend on it, and it cannot be changed once there are members.
	for net_option in $(echo "$3" | tr ',' '\n' | grep '^mode=') $(echo "$3" | tr ',' '\n' | grep -v '^mode='); do
		net_key=${net_option%%=*}
		for net_value in $(echo "${net_option#*=}" | tr ';' ' '); do
			case $net_key in *_target) net_value=+$net_value ;; esac
			echo "$net_value" >"$net_bond/$net_key" ||
				{ net_say "bond $1 does not take $net_option"; return 1; }
		done
	done
	for net_member in $(echo "$2" | tr ',' ' '); do
		net_await "$net_member" || continue
		ip link set "$net_member" down
		echo "+$net_member" >"$net_bond/slaves" || net_say "$net_member cannot join $1"
	done
	[ "$4" = - ] || ip link set "$1" mtu "$4"
	ip link set "$1" up
}

net_do_vlan() { # NAME DEVICE ID
	net_await "$2" || return 1
	ip link set "$2" up
	ip link add link "$2" name "$1" type vlan id "$3"
}

net_dhcp() { # INTERFACE: the client stays, to renew its lease
	net_pending=1
	udhcpc -i "$1" -s "$NET_DHCP_SCRIPT" -p "$NET_RUN/$1.pid" -b -t 4 -T 2 -A 4 >/dev/null 2>&1 &
}

net_do_addr() { # INTERFACE METHOD ADDRESS GATEWAY MTU MAC
	if [ "$1" = "*" ]; then
		net_await_card || { net_say "this machine has no network card that the kernel knows"; return 1; }
		net_known=$(net_cards | tr '\n' ' ')
		for net_card in $net_known; do
			net_do_addr "$net_card" "$2" "$3" "$4" "$5" "$6"
			# One address cannot be on two cards: the first one gets it.
			[ "$2" != static ] || return 0
		done
		net_follow "$2" "$5" "$6" >/dev/null 2>&1 &
		return 0
	fi
	net_await "$1" || return 1
	[ "$6" = - ] || ip link set "$1" address "$6"
	[ "$5" = - ] || ip link set "$1" mtu "$5"
	case $2 in
	auto6)
		net_pending=1
		echo 1 >"/proc/sys/net/ipv6/conf/$1/accept_ra" 2>/dev/null || true
		;;
	esac
	ip link set "$1" up
	case $2 in
	dhcp) net_dhcp "$1" ;;
	static)
		ip addr add "$3" dev "$1" || return 1
		[ "$4" = - ] || ip route add default via "$4" dev "$1" || return 1
		touch "$NET_RUN/up"
		;;
	esac
}

# Cards on USB, or that load firmware, come after the others: for ten minutes they are set up, too.
net_follow() { # METHOD MTU MAC; net_known has those that are
	net_seconds=0
	while [ $net_seconds -lt 600 ]; do
		sleep 1
		for net_card in $(net_cards); do
			case " $net_known " in *" $net_card "*) continue ;; esac
			net_known="$net_known $net_card"
			net_do_addr "$net_card" "$1" - - "$2" "$3"
		done
		net_seconds=$((net_seconds + 1))
	done
}

net_do_route() { # NETWORK GATEWAY INTERFACE
	if [ "$3" = - ]; then ip route add "$1" via "$2"; else ip route add "$1" via "$2" dev "$3"; fi
}

# Reads a plan on standard input. Goes on after a step that failed, and returns 1 at the end.
net_apply() {
	net_rc=0 net_bootif='' net_pending=''
	mkdir -p "$NET_RUN"
	rm -f "$NET_RUN/dns" "$NET_RUN/up"
	while read -r net_verb net_a net_b net_c net_d net_e net_f; do
		case $net_verb in
		host) echo "$net_a" >"$NET_RUN/hostname" ;;
		ifname) net_do_ifname "$net_a" "$net_b" || net_rc=1 ;;
		bond) net_do_bond "$net_a" "$net_b" "$net_c" "$net_d" || net_rc=1 ;;
		vlan) net_do_vlan "$net_a" "$net_b" "$net_c" || net_rc=1 ;;
		bootif) net_bootif=$net_a ;;
		addr) net_do_addr "$net_a" "$net_b" "$net_c" "$net_d" "$net_e" "$net_f" || net_rc=1 ;;
		route) net_do_route "$net_a" "$net_b" "$net_c" || net_rc=1 ;;
		dns)
			# Name servers of the command line win over those of DHCP: see udhcpc.sh.
			echo "nameserver $net_a" >>"$NET_RUN/dns"
			cp "$NET_RUN/dns" "$NET_ETC/resolv.conf"
			;;
		esac
	done
	return $net_rc
}

# Waits until an interface has an address, up to SECONDS; not at all if none is on the way.
net_wait() {
	net_tries=$(($1 * 5))
	[ -n "$net_pending" ] || net_tries=1
	while [ ! -e "$NET_RUN/up" ]; do
		if ip -6 addr show scope global 2>/dev/null | grep -q inet6; then return 0; fi
		net_tries=$((net_tries - 1))
		[ $net_tries -gt 0 ] || return 1
		sleep 0.2
	done
}
