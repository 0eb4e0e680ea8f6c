#!/bin/sh
# Makes nginx.txt: the servers that a real nginx (Debian's package nginx) asks, for every method that it has and whose
# choice is not random. Usage: sh make.sh > nginx.txt
#
# A line is a method, servers, and requests. A server is its weight, behind it `d` if it is down and `x` if nobody
# listens there (such have max_fails=2 fail_timeout=1h). A request is its key, and the servers it went to, by their
# places in the line. The servers are 127.0.0.1:18301 and up. Where a request has no key it is "-".
set -eu
dir=$(mktemp -d)
trap 'kill "$(cat "$dir/pid")" 2>/dev/null; rm -rf "$dir"' EXIT
port=18300

# Asks a nginx of its own, with `method` and `servers`, once for each key.
ask() {
    method=$1 servers=$2 keys=$3
    upstream="" backends="" n=0
    for server in $servers; do
        at=127.0.0.1:$((port + 1 + n)) weight=${server%[dx]}
        case $server in
            *d) upstream="$upstream server $at weight=$weight down;" ;;
            *x) upstream="$upstream server $at weight=$weight max_fails=2 fail_timeout=1h;" ;;
            *) upstream="$upstream server $at weight=$weight;" backends="$backends server { listen $at; return 200 ''; }" ;;
        esac
        n=$((n + 1))
    done
    cat > "$dir/nginx.conf" <<EOF
worker_processes 1; pid $dir/pid; error_log $dir/error.log; events {}
http {
    access_log off; set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;
    upstream u { ${method:+$method;} $upstream }
    $backends
    server { listen 127.0.0.1:$port; location / { proxy_pass http://u; add_header X-Tried \$upstream_addr always; } }
}
EOF
    nginx -p "$dir" -c "$dir/nginx.conf"
    printf '%s | %s |' "${method:-round robin}" "$servers"
    for key in $keys; do
        tried=$(curl -s -o /dev/null -D - -H "X-Real-IP: $key" "http://127.0.0.1:$port/?k=$key" |
            sed -n 's/\r//; s/^X-Tried: //p' | sed "s/127.0.0.1:183//g; s/, /+/g; s/\b0\([0-9]\)/\1/g")
        printf ' %s=%s' "$key" "$tried"
    done
    echo
    kill -QUIT "$(cat "$dir/pid")"
    while [ -e "$dir/pid" ]; do sleep 0.05; done
}

echo "# Made by make.sh with $(nginx -v 2>&1)"
none=$(for _ in $(seq 60); do printf -- '- '; done)
words=$(for n in $(seq 60); do printf 'w%s ' $((n * 7919 % 10007)); done)
addresses=$(for n in $(seq 40); do printf '%s.%s.%s.9 ' $((n * 37 % 223 + 1)) $((n * 91 % 256)) $((n * 13 % 256)); done
    for n in $(seq 10); do printf '2001:db8:%x::%x ' $((n * 4099)) "$n"; done)
for servers in "1 1" "1 1 1" "5 1 1" "1 2 3" "3 2 1" "2 2 2 7" "10 1 1 1 1" "100 99 1" "1 5 1 5 1" "7 3" \
    "1 1d 1" "4x 3 2" "5 5x 1 1" "2x 2x 3" "1 1x 1x 8"; do
    ask "" "$servers" "$none"
    ask "least_conn" "$servers" "$none"
done
for servers in "1 1" "1 1 1" "5 1 1" "1 2 3" "2d 1 1" "4x 3 2 1" "1 1 1 1 1 1 1 1 1 1" "1x 1x 1x 1 1d 3"; do
    ask "ip_hash" "$servers" "$addresses"
    ask "hash \$arg_k" "$servers" "$words"
    ask "hash \$arg_k consistent" "$servers" "$words"
done
