#!/usr/bin/env bash
# Installs what real clusters on this machine need, when it is Debian's, we are root and no cluster is given.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -z "${KUBECONFIG:-}" ] || exit 0
[ "$(id -u)" -eq 0 ] && command -v dpkg-query >/dev/null || exit 0
missing=()
while read -r package; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < packaging/apt-cluster.txt
[ ${#missing[@]} -gt 0 ] || exit 0
echo "test bed: installing ${missing[*]}"
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
  || echo "test bed: could not install them; the tests will say what is missing" >&2
