#!/usr/bin/env bash
# Malformed, unknown, contradicting and unauthorised orders change nothing.
set -eu
exec python3 "$(dirname "$0")/images.py" refused
