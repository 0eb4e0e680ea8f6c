#!/bin/sh
# Installs the packages that the build, the tests and the benchmark need and this machine lacks. Without root it prints
# the line to type.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need cc gcc
need cmake cmake
need pkg-config pkg-config
need curl curl
# OpenSSL, which TLS is spoken with.
pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev"
need nginx nginx-light
need apache2 apache2
need lighttpd lighttpd
need haproxy haproxy
need mariadbd mariadb-server
need openssl openssl
need fcgiwrap fcgiwrap
need wrk wrk
need h2load nghttp2-client
need chromium chromium
command -v cargo >/dev/null 2>&1 || { echo "cargo is missing: install Rust 1.95 or later (rustup)" >&2; exit 1; }
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "these packages are missing; please run: sudo apt-get install -y$missing" >&2
    exit 1
fi
command -v apt-get >/dev/null 2>&1 || { echo "these packages are missing:$missing" >&2; exit 1; }
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# The servers are for tests, which start their own: none is to run as a service.
policy=/usr/sbin/policy-rc.d
[ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' > $policy; chmod +x $policy; trap 'rm -f $policy' EXIT; }
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
