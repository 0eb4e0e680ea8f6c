#!/bin/sh
# Makes round_robin.txt: the servers that a real nginx (Debian's package nginx) chooses for some lists of weights.
# Usage: sh round_robin.sh > round_robin.txt
set -eu
dir=$(mktemp -d)
trap 'kill "$(cat "$dir/pid")" 2>/dev/null; rm -rf "$dir"' EXIT
port=18300
echo "# weights: indices of the servers that nginx chose, one after the other ($(nginx -v 2>&1))"
for weights in "1 1" "1 1 1" "5 1 1" "1 2 3" "3 2 1" "2 2 2 7" "10 1 1 1 1" "100 99 1" "1 5 1 5 1" "7 3"; do
    upstream="" servers="" n=0
    for weight in $weights; do
        upstream="$upstream server 127.0.0.1:$((port + 1 + n)) weight=$weight;"
        servers="$servers server { listen 127.0.0.1:$((port + 1 + n)); return 200 '$n '; }"
        n=$((n + 1))
    done
    cat > "$dir/nginx.conf" <<EOF
worker_processes 1; pid $dir/pid; error_log $dir/error.log; events {}
http { access_log off; upstream u { $upstream } $servers
server { listen 127.0.0.1:$port; location / { proxy_pass http://u; } } }
EOF
    nginx -p "$dir" -c "$dir/nginx.conf"
    printf '%s: ' "$weights"
    for _ in $(seq 60); do curl -s "http://127.0.0.1:$port/"; done
    echo
    kill -QUIT "$(cat "$dir/pid")"
    while [ -e "$dir/pid" ]; do sleep 0.05; done
done
