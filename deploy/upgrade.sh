#!/bin/sh
# Restarts every program of a running plane, one at a time, each only while all venues are well: what an upgrade needs
# after `git pull && make install`. Run it as the user of the plane. It stops at the first program after which a venue
# does not become well again, so that a bad version costs one venue and not five.
#
# usage: deploy/upgrade.sh [supervisord.conf]      exit code: 0 done, 1 a venue is not well, 2 nothing runs
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
conf=${1:-$here/supervisord.conf}
patience_s=${PATIENCE_S:-60}

ctl() { "$here/.venv/bin/supervisorctl" -c "$conf" "$@"; }

well() {
    until_s=$(($(date +%s) + patience_s))
    until "$here/.venv/bin/paraphina" status >/dev/null 2>&1; do
        if [ "$(date +%s)" -ge "$until_s" ]; then
            echo "not well $1:" >&2
            "$here/.venv/bin/paraphina" status >&2 || true
            exit 1
        fi
        sleep 0.5
    done
}

# Of `status` only the names: its exit code is not 0 when any program is stopped, which is no reason to stop here.
running=$(ctl status | awk '$2 == "RUNNING" {print $1}') || true
[ -n "$running" ] || { echo "nothing runs under $conf" >&2; exit 2; }

well "before anything was restarted"
# Connectors first: a new version shows its faults there. The publisher has every connector send its full state again.
for program in $(echo "$running" | grep '^connectors:' || true) publisher runner sentinel dashboard; do
    echo "$running" | grep -qx -e "$program" -e "$program:.*" || continue
    ctl restart "$program"
    well "after $program"
done
echo "every program runs what is installed now"
