#!/usr/bin/env bash
# The receiver names the part numbers that want URLs, does not retry refused ones, and goes on with new ones.
set -eu
exec python3 "$(dirname "$0")/images.py" expired
