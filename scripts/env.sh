#!/bin/sh
# Make .venv ready: exactly the packages of constraints/dev.txt, each checked against its hash, and this checkout installed in it.
#
# Needs Python 3.11 or newer and a package index. uv is taken from the PATH, else fetched into .tools (pinned, hashed).
# PYTHON names another interpreter. Safe to run again: what is already right is left alone.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'orpheus: %s\n' "$*" >&2; }

find_python() {
	for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
		if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
			"$candidate" -c 'import sys; print(sys.executable)'
			return
		fi
	done
	say "no Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python3.11"
	exit 1
}

find_uv() {
	# A command on the PATH may be a shim with nothing behind it, so it has to answer.
	if uv pip compile --help >/dev/null 2>&1; then
		command -v uv
		return
	fi
	if ! .tools/bin/uv --version >/dev/null 2>&1; then
		say "uv is missing: fetching it into .tools"
		rm -rf .tools
		"$1" -m venv .tools || {
			say "this Python has no venv module (Debian: apt-get install python3-venv)"
			exit 1
		}
		.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
			--requirement constraints/tools.txt >&2
	fi
	echo "$PWD/.tools/bin/uv"
}

python=$(find_python)
uv=$(find_uv "$python")
export UV_PYTHON_DOWNLOADS=never

if ! .venv/bin/python -c '' >/dev/null 2>&1; then
	"$uv" venv --quiet --clear --python "$python" .venv
fi
VIRTUAL_ENV="$PWD/.venv"
export VIRTUAL_ENV

# The first install brings some 200 MB of wheels, FFmpeg and the checkers included; say so where somebody waits.
[ -e .venv/.synced ] || say "installing what constraints/dev.txt pins into .venv (once)"
"$uv" pip sync --quiet --require-hashes constraints/dev.txt
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
touch .venv/.synced
