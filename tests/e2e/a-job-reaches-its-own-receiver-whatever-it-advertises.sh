#!/usr/bin/env bash
# Behind a translated address this host may not reach itself by the one that the source is told. The job's own receiver
# is here, so it is asked here.
. "$(dirname "$0")/lib-pipeline.sh"

sees_no_source() {
	"$PIPELINE" status nat | grep -q 'source: not there yet'
}

run_job run name=nat control_port=0 data_port=0 listen=127.0.0.1 advertise=192.0.2.77
wait_for 600 sees_no_source || fail "its receiver is not reached: $("$PIPELINE" status)"
"$PIPELINE" pause nat
"$PIPELINE" cancel nat
wait_job || fail "the cancelled job ends with $?"
