#!/usr/bin/env bash
# The emulated instance fetches the receiver that ships, takes a copy on its data disk, and its security group is obeyed.
source "$(dirname "$0")/lib.sh"
programs
sdk_ready
start_emulator --set '{"time_scale": 0.005}'
truncate -s 1G "$work/source.raw"
head -c 20000000 /dev/urandom | dd of="$work/source.raw" bs=1M seek=100 conv=notrunc status=none
node tests/cloud/sdk/instance.js "$RECEIVER" 1 >"$work/instance"
what() { sed -n "s/^$1 //p" "$work/instance"; }

echo "the group admits nobody yet"
if curl -sk --max-time 600 "https://$(what address):8080/"; then
	exit 1
fi
emulator GET state | grep -q "\"$(what instance)\": [1-9]"
node tests/cloud/sdk/call.js ecs cn-beijing AuthorizeSecurityGroup "{\"regionId\": \"cn-beijing\",
	\"securityGroupId\": \"$(what group)\", \"permissions\": [
	{\"ipProtocol\": \"TCP\", \"portRange\": \"8080/8080\", \"sourceCidrIp\": \"127.0.0.1/32\"},
	{\"ipProtocol\": \"TCP\", \"portRange\": \"8703/8703\", \"sourceCidrIp\": \"127.0.0.1/32\"}]}" >/dev/null
"$MIGRATOR" send --activation "$(what activation)" --quiet --whole "$work/source.raw"
node tests/cloud/sdk/call.js ecs cn-beijing StopInstance "{\"instanceId\": \"$(what instance)\"}" >/dev/null
until emulator GET state | grep -q '"status": "Stopped"'; do sleep 0.1; done
cmp "$work/source.raw" "$(emulator GET state | sed -n 's/.*"folder": "\([^"]*\)".*/\1/p')/disks/$(what disk).raw"
emulator GET state | grep -q '"errors": \[\]'
