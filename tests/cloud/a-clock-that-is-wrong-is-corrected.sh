#!/bin/sh
# The cloud's time is 20 minutes ahead; the job takes it from the first answer.
exec "$(dirname "$0")/course" wrong-clock
