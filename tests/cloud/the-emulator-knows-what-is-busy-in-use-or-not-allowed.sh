#!/usr/bin/env bash
# Refusals and waits that depend on the state of things, asked by the vendor's clients.
source "$(dirname "$0")/lib.sh"
requires qemu-img
sdk_ready
start_emulator --set '{"real_instances": false, "time_scale": 0.01, "consistency_s": 3}'
node tests/cloud/sdk/states.js
