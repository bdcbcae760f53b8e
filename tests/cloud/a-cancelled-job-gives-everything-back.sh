#!/bin/sh
# While it waits for data, and while it makes the image.
exec "$(dirname "$0")/course" cancelled
