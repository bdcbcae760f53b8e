#!/bin/sh
# From a disk to an ENS image by way of the emulated cloud; the image starts a machine.
exec "$(dirname "$0")/../cloud/course" boots
