#!/bin/sh
# Sets up what building, running and testing need beyond Go and make.
#
#   setup.sh run    a PostgreSQL for the embedded server, unless a database URL is given
#   setup.sh test   that, a C compiler for the race detector, Node and Python with the packages of the tests, Chromium,
#                   Graphviz, haproxy, PgBouncer
#   setup.sh web    Node with the packages that build the page
#
# As root on Debian or a relative, missing packages are installed; elsewhere one message names them all. An existing
# installation is left alone. Nothing to do takes no time.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p .tools

missing=""  # what stops us, as Debian's packages
optional="" # what some tests skip without

has() { command -v "$1" >/dev/null 2>&1; }

has_postgres() {
	for dir in "${LAYERCAKE_PG_BIN:-}" /usr/lib/postgresql/*/bin \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
		[ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return
	done
	has initdb && has postgres
}

has_c_compiler() { echo '#include <stdlib.h>' | ${CC:-cc} -E - >/dev/null 2>&1; }

has_python() { has python3 && python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

look_for() {
	missing="" optional=""
	if [ "$1" = web ]; then
		has node || missing="$missing nodejs"
		has npm || missing="$missing npm"
	elif [ "$1" = test ]; then
		has_postgres || missing="$missing postgresql"
		has_c_compiler || missing="$missing gcc libc6-dev"
		has node || optional="$optional nodejs"
		has npm || optional="$optional npm"
		[ -x internal/pytest/venv/bin/python ] || has_python || optional="$optional python3-venv"
		has dot || optional="$optional graphviz"
		has chromium || optional="$optional chromium"
		has haproxy || [ -x /usr/sbin/haproxy ] || optional="$optional haproxy"
		has pgbouncer || [ -x /usr/sbin/pgbouncer ] || optional="$optional pgbouncer"
		# A Java runtime comes with it: only where every test is to run.
		[ -z "${CI:-}" ] || has plantuml || optional="$optional plantuml"
	elif [ -z "${LAYERCAKE_DATABASE_URL:-${DATABASE_URL:-}}" ]; then
		has_postgres || missing="$missing postgresql"
	fi
}

# The package postgresql would make a cluster of its own and start it; this is its documented way to say no. It is taken
# back afterwards, so that whoever wants a system-wide cluster later gets one.
refuse_system_cluster() {
	case " $1 " in *" postgresql "*) ;; *) return 0 ;; esac
	refusal=/etc/postgresql-common/createcluster.d/layercake.conf
	trap 'rm -f "$refusal"; rmdir "$(dirname "$refusal")" 2>/dev/null || true' EXIT
	mkdir -p "$(dirname "$refusal")"
	echo 'create_main_cluster = false' >"$refusal"
}

install_packages() (
	export DEBIAN_FRONTEND=noninteractive
	echo "setup: installing$1" >&2
	refuse_system_cluster "$1"
	apt-get update -q
	# Package names are separate words.
	# shellcheck disable=SC2086
	apt-get install -y -q --no-install-recommends $1
)

set_up_packages() {
	look_for "$1"
	# What could not be installed once and is not needed is not tried each time.
	[ "$optional" = "$(cat .tools/without 2>/dev/null)" ] && wanted="$missing" || wanted="$missing$optional"
	if [ -n "$wanted" ] && [ "$(id -u)" = 0 ] && has apt-get; then
		# Together first; what is only optional must not keep the rest away.
		install_packages "$wanted" >&2 ||
			{ [ -n "$missing" ] && install_packages "$missing" >&2; } || true
		look_for "$1"
	fi
	if [ -n "$missing" ]; then
		cat >&2 <<-MESSAGE
			setup: missing, as Debian's packages:$missing$optional
			  Debian, Ubuntu:  sudo apt-get install$missing$optional
			  macOS, Homebrew: brew install postgresql@17 node python graphviz haproxy pgbouncer; xcode-select --install
			  PostgreSQL elsewhere: LAYERCAKE_PG_BIN=<folder of initdb and postgres>, or a server: LAYERCAKE_DATABASE_URL
		MESSAGE
		exit 1
	fi
	[ "$1" = test ] || return 0
	[ -z "$optional" ] || echo "setup: some tests are skipped without$optional" >&2
	echo "$optional" >.tools/without
}

# Packages are installed again when their lock file is another than the copy of it beside them.
set_up_npm() {
	lock=$1/package-lock.json stamp=$1/node_modules/.layercake-lock
	[ -f "$lock" ] && has node && has npm || return 0
	cmp -s "$lock" "$stamp" && return 0
	(cd "$1" && npm ci --no-audit --no-fund --loglevel=error) >&2
	cp "$lock" "$stamp"
}

set_up_python() {
	lock=$1/requirements.txt venv=$1/venv
	cmp -s "$lock" "$venv/.layercake-lock" && return 0
	has_python || return 0
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$lock" >&2
	cp "$lock" "$venv/.layercake-lock"
}

has go || { echo "setup: Go is missing: see https://go.dev/doc/install (go.mod names the version)" >&2; exit 1; }
case "${1:-}" in
run) set_up_packages run ;;
test)
	set_up_packages test
	set_up_npm internal/npmtest
	set_up_npm internal/npmtest/mcp
	set_up_npm internal/web
	set_up_python internal/pytest
	;;
web)
	set_up_packages web
	set_up_npm internal/web
	;;
*) echo "usage: $0 run|test|web" >&2; exit 2 ;;
esac
