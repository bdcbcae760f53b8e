#!/bin/sh
# One call in four goes wrong in some way, on both ways.
exec "$(dirname "$0")/course" disturbed
