#!/bin/sh
# Keeps at one run of the deployment's container, in the foreground of a service manager:
#   run.sh CONTAINER RETRIES FILE GIVEN_UP DELAY
# Ends with 1 to be started again, and with GIVEN_UP when more than RETRIES runs in a row were too short to count as
# good ones. FILE keeps their number between the runs. DELAY is for managers that know none.
#
# Not `docker start --attach`, which hands each signal on to the container.
container=$1 retries=$2 file=$3 given_up=$4 delay=$5
well_seconds=60

# Docker may be started later, and come and go.
if ! docker version > /dev/null 2>&1; then
    echo "waiting for Docker at $DOCKER_HOST"
    until docker version > /dev/null 2>&1; do
        sleep 1
    done
fi
began=$(date +%s)
if docker start "$container" > /dev/null; then
    echo "$container runs"
    ended="ended with exit code $(docker wait "$container")"
else
    ended='did not start'
fi
if ! docker version > /dev/null 2>&1; then
    echo 'Docker has gone, and the container with it'
    exit 1
fi
count=$(cat "$file" 2> /dev/null) || count=0
if [ $(($(date +%s) - began)) -ge "$well_seconds" ]; then
    count=0
fi
count=$((count + 1))
if [ "$count" -gt "$retries" ]; then
    rm -f "$file"
    echo "$container $ended, after $retries restarts in a row: given up. To go on: occ start"
    exit "$given_up"
fi
echo "$count" > "$file"
echo "$container $ended: restart $count of $retries"
sleep "$delay"
exit 1
