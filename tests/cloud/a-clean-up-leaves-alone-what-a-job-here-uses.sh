#!/bin/sh
# `pipeline clean` beside a job that runs on the same host.
exec "$(dirname "$0")/course" cleaned-while-it-runs
