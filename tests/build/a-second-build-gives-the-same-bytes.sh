#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Of small packages, one for each way of building; in another directory than the first time.
set -eu
cd "$(dirname "$0")/../.."
rootfs/build --check inih zlib dosfstools
