#!/usr/bin/env bash
# The uploaded image of a disk that was copied with SHA-256 digests is compared by them and carries the root over them.
set -eu
exec python3 "$(dirname "$0")/images.py" forgery_proof
