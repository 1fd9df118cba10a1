#!/bin/sh
# Pin every package by version and hash: constraints/dev.txt (what `make` installs) and constraints/tools.txt (uv itself).
#
# Neither file names a host, so that the same pins install from a mirror as from the public index. Give packages to move
# as arguments (`scripts/lock.sh fastapi`); without any, pins that still fit pyproject.toml stay as they are.
set -eu
cd "$(dirname "$0")/.."
UV=${UV:-uv}

upgrade=""
for package in "$@"; do upgrade="$upgrade --upgrade-package $package"; done

compile() {
	# shellcheck disable=SC2086
	"$UV" pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		--no-annotate --python-version 3.11 $upgrade "$@" >/dev/null
}

compile pyproject.toml --all-extras --group dev --output-file constraints/dev.txt
compile constraints/tools.in --output-file constraints/tools.txt
echo "constraints/dev.txt: $(grep -c == constraints/dev.txt) packages, constraints/tools.txt: $(grep -c == constraints/tools.txt)"
