#!/usr/bin/env bash
# kill -9 while the header, the last part, is under way.
set -eu
exec python3 "$(dirname "$0")/images.py" killed_in_the_end
