#!/bin/sh
# Two runs and a cut-over; the oldest image goes, and at the end all else.
exec "$(dirname "$0")/course" incremental
