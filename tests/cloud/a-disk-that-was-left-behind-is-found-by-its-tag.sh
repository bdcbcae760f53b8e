#!/bin/sh
# pipeline clean removes the disks of a job that did not go with their instance, and no others.
exec "$(dirname "$0")/course" disk-left-behind
