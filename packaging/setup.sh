#!/usr/bin/env bash
# Sets a fresh machine up: system packages that are missing, then the virtual environment from the lock.
# Called by make; safe to call again. Shows what it installs before it does.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-/usr/bin/python3}
venv=${VENV:-.venv}

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }

missing=()
if command -v dpkg-query >/dev/null; then
  while read -r package; do
    [ -n "$package" ] || continue
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done < packaging/apt.txt
fi
if [ ${#missing[@]} -gt 0 ]; then
  sudo=''
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "these packages are missing and there is no sudo: ${missing[*]}"
    sudo=sudo
  fi
  echo "setup: installing missing system packages with this command:"
  echo "  $sudo apt-get install -y --no-install-recommends ${missing[*]}"
  $sudo apt-get update -qq || fail 'apt-get update failed: is the network there?'
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
    || fail 'apt-get install failed: run the command above by hand to see why'
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed; $python is $("$python" -V)"
echo "setup: virtual environment in $venv (from requirements-dev.lock)"
[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv" || fail 'could not make the virtual environment'
"$venv/bin/python" -m pip install -q --disable-pip-version-check --retries 3 uv || fail 'pip could not fetch uv: is the package index reachable?'
"$venv/bin/uv" pip sync -q --python "$venv/bin/python" --require-hashes requirements-dev.lock \
  || fail 'the packages of requirements-dev.lock could not be installed: is the package index reachable?'
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --no-build-isolation -e . || fail 'the package itself could not be installed'
touch "$venv/ok"
echo "setup: done"
