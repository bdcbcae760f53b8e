#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The power goes at 40 %; the second start ends in a copy that boots.
exec "$(dirname "$0")/../e2e/scenario" resumed
