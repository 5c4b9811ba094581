#!/usr/bin/env bash
# Everything a newcomer needs, with nothing but bash and python3 >= 3.11: makes .venv, installs into it, then
# deploys a swarm or runs the tests. What it has to say goes to standard error, so that --json stays clean.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'TEXT'
./run_patterns.sh                     run the tests in mock mode: one process, virtual time, deterministic
./run_patterns.sh mock|local|live     run the tests in that mode
./run_patterns.sh mock "Ring"         run only what concerns one pattern (mesh, hierarchical, ring, star)
./run_patterns.sh deploy ...          deploy a swarm: e2b-swarm deploy ... (--help shows the flags)
./run_patterns.sh setup               only make .venv and install

mock   needs nothing. local   starts real processes behind the embedded E2B server, no account needed.
live   uses E2B itself and needs E2B_API_KEY; it costs money.
TEXT
}

say() { printf '%s\n' "$*" >&2; }

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$name"
      return
    fi
  done
  say "run_patterns: python3 >= 3.11 is needed; found $(python3 --version 2>&1 || echo none). Install it and run this again."
  exit 2
}

# What is installed is right when it was installed from these very files.
wanted() { cat pyproject.toml constraints.txt | cksum; }
is_installed() { [ -f ".venv/.installed$1" ] && [ "$(cat ".venv/.installed$1")" = "$(wanted)" ]; }

ensure() { # "" for what a deploy needs, "[test]" for the tests as well
  if is_installed "$1" || is_installed "[test]"; then return; fi
  local python
  python=$(find_python)
  if [ ! -x .venv/bin/pip ]; then
    say "run_patterns: making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv || {
      say "run_patterns: $python cannot make a virtual environment; on Debian: apt-get install python3-venv"
      exit 2
    }
  fi
  say "run_patterns: installing e2b-swarm$1 into .venv (the first time takes about a minute)"
  .venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$1" >&2
  wanted >".venv/.installed$1"
}

say_mode() {
  if [ -n "${E2B_API_KEY:-}" ]; then
    say "run_patterns: E2B_API_KEY was found; live mode is possible. This is $1."
  else
    say "run_patterns: E2B_API_KEY was not found; live mode is not possible, mock and local need no account. This is $1."
  fi
}

run_tests() {
  local mode=$1 pattern=${2:-}
  say_mode "$mode mode"
  ensure "[test]"
  local arguments=(--mode "$mode" tests)
  if [ -n "$pattern" ]; then arguments+=(-k "$pattern"); fi
  exec .venv/bin/python -m pytest "${arguments[@]}"
}

case "${1:-mock}" in
  mock | local | live)
    if [ $# -gt 2 ]; then usage >&2; exit 2; fi
    run_tests "${1:-mock}" "${2:-}"
    ;;
  deploy)
    mode=local
    for ((i = 2; i <= $#; i++)); do
      case "${!i}" in
        --mode) next=$((i + 1)); mode=${!next:-$mode} ;;
        --mode=*) mode=${!i#--mode=} ;;
      esac
    done
    say_mode "$mode mode"
    ensure ""
    exec .venv/bin/e2b-swarm "$@"
    ;;
  setup) ensure "[test]" ;;
  -h | --help | help) usage ;;
  *)
    say "run_patterns: unknown request '$1'"
    usage >&2
    exit 2
    ;;
esac
