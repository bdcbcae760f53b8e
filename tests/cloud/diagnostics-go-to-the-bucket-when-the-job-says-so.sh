#!/bin/sh
# And are given back with the job.
exec "$(dirname "$0")/course" diagnosed
