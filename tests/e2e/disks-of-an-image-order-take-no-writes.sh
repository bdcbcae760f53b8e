#!/usr/bin/env bash
# Frozen until the order is dropped, also over kill -9; a disk that is not whole is refused.
set -eu
exec python3 "$(dirname "$0")/images.py" frozen
