#!/usr/bin/env bash
# No parameter that the emulator takes is an invention: the vendor's request models have each of them.
source "$(dirname "$0")/lib.sh"
sdk_ready
tests/cloud/emulate --tables | node tests/cloud/sdk/tables.js
