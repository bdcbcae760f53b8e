#!/bin/sh
# Throttling, busy objects, running tokens, sold-out types: a job meets each code once and ends in one image.
exec "$(dirname "$0")/course" met-codes
