#!/usr/bin/env bash
# What does not pass ends in InError with a code and advice; posted again, the order goes on.
set -eu
exec python3 "$(dirname "$0")/images.py" errors
