#!/usr/bin/env bash
# DELETE breaks off what is under way, and another order can follow.
set -eu
exec python3 "$(dirname "$0")/images.py" dropped
