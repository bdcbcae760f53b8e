#!/bin/sh
# A snapshot, an image, an export and an import fail in turn: InError each time, and in the end one image.
exec "$(dirname "$0")/course" failed-on-the-way
