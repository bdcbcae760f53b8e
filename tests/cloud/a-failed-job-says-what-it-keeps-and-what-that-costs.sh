#!/bin/sh
# What is kept for a retry, its price by the hour, and the order that gives it back.
exec "$(dirname "$0")/course" kept-and-what-it-costs
