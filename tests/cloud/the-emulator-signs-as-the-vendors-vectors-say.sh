#!/usr/bin/env bash
# All vectors that the vendor's SDKs made, through the emulator's own signature code.
set -eu
cd "$(dirname "$0")/../.."
/usr/bin/python3 -c 'import aiohttp' 2>/dev/null || { echo "needs the package python3-aiohttp"; exit 77; }
tests/cloud/check-vectors
