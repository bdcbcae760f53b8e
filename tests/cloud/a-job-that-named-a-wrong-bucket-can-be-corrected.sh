#!/bin/sh
# The first instance types of the list have no stock.
exec "$(dirname "$0")/course" corrected
