#!/bin/sh
# As a service of systemd, by the unit that user data writes.
exec "$(dirname "$0")/course" crashed-with-systemd
