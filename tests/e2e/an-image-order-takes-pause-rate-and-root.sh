#!/usr/bin/env bash
# A pause holds an upload back, also over a restart; the rate changes while it runs; another root than was verified ends it.
set -eu
exec python3 "$(dirname "$0")/images.py" paused
