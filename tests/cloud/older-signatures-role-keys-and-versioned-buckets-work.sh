#!/bin/sh
# RPC V1 and OSS V1, keys from the metadata service, and a bucket that keeps versions.
exec "$(dirname "$0")/course" older-signatures
