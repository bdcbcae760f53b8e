#!/bin/sh
# Quotas, money, permissions, keys, bad parameters: InError with the cloud's code; retry goes on.
exec "$(dirname "$0")/course" told-codes
