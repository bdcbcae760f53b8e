#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2154 # the client says everything in the environment
# What BusyBox's DHCP client runs when a lease is gained, renewed or lost.

run=${NET_RUN:-/run/coldlift/net}
etc=${NET_ETC:-/etc}
metric=$(cat "/sys/class/net/$interface/ifindex" 2>/dev/null || echo 1)

bound() {
	ip addr flush dev "$interface" scope global
	ip addr add "$ip/${mask:-24}" ${broadcast:+broadcast "$broadcast"} dev "$interface"
	[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
	# Classless routes replace the router option where a server sends both (RFC 3442).
	if [ -n "$staticroutes" ]; then
		# shellcheck disable=SC2086 # pairs of words
		set -- $staticroutes
		while [ $# -ge 2 ]; do
			if [ "$2" = 0.0.0.0 ]; then
				ip route replace "$1" dev "$interface" metric "$metric"
			else
				ip route replace "$1" via "$2" dev "$interface" metric "$metric" onlink 2>/dev/null ||
					ip route replace "$1" via "$2" dev "$interface" metric "$metric"
			fi
			shift 2
		done
	else
		for gateway in $router; do
			# Clouds hand out gateways outside a /32 subnet: the route to it comes first.
			[ "$mask" != 32 ] || ip route replace "$gateway" dev "$interface"
			ip route replace default via "$gateway" dev "$interface" metric "$metric"
			break
		done
	fi
	if [ ! -e "$run/dns" ] && [ -n "$dns" ]; then
		{
			[ -z "$domain" ] || echo "search $domain"
			for server in $dns; do echo "nameserver $server"; done
		} >"$etc/resolv.conf"
	fi
	mkdir -p "$run"
	echo "$ip/${mask:-24} ${router:-none}" >"$run/$interface.lease"
	touch "$run/up"
}

case $1 in
deconfig) ip link set "$interface" up ;;
bound | renew) bound ;;
leasefail | nak) ;;
esac
exit 0
