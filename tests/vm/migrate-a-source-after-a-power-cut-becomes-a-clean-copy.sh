#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Journals are replayed in the view: the copy boots clean, and the source is as it was.
exec "$(dirname "$0")/../e2e/scenario" dirty
