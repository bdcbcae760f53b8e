#!/bin/sh
# In the middle of the copy, and in the middle of the upload.
exec "$(dirname "$0")/course" crashed
