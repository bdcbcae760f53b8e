#!/usr/bin/env bash
# Wrong keys, clocks, parameters and tokens are refused with the vendor's codes; faults come when the scenario says so.
source "$(dirname "$0")/lib.sh"
sdk_ready
start_emulator --set '{"real_instances": false, "time_scale": 0.05, "consistency_s": 1e9}'
node tests/cloud/sdk/refusals.js
