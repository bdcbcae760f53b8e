#!/usr/bin/env bash
# 5xx, throttling, stalls, cut connections, wrong ETags and sums, lost replies: each part is sent again until it is there.
set -eu
exec python3 "$(dirname "$0")/images.py" faulty
