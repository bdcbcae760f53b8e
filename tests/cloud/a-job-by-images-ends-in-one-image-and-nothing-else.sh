#!/bin/sh
# Snapshots, image, export, import: the ENS image has the source's bytes, and whatever else was made has gone.
exec "$(dirname "$0")/course" by-images
