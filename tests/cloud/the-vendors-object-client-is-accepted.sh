#!/usr/bin/env bash
# ali-oss with V1 and V4 signatures and presigned URLs, against the emulator's OSS.
source "$(dirname "$0")/lib.sh"
sdk_ready
start_emulator --set '{"real_instances": false}'
node tests/cloud/sdk/objects.js
