#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The sample's own disks on virtio must not boot: if they did, a copy that boots would prove nothing.
exec "$(dirname "$0")/../e2e/scenario" unrepaired
