#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With SOURCE_HIBERNATED, and status 3; the source is as it was.
exec "$(dirname "$0")/../e2e/scenario" hibernated
