#!/bin/sh
# Sets up what building, running and testing need beyond Go and make.
#
#   setup.sh run    a PostgreSQL for the embedded server, unless a database URL is given
#   setup.sh test   that, a C compiler for the race detector, Node with the npm packages of the tests, Chromium,
#                   Graphviz, haproxy, PgBouncer
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

look_for() {
	missing="" optional=""
	if [ "$1" = test ]; then
		has_postgres || missing="$missing postgresql"
		has_c_compiler || missing="$missing gcc libc6-dev"
		has node || optional="$optional nodejs"
		has npm || optional="$optional npm"
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
			  macOS, Homebrew: brew install postgresql@17 node graphviz haproxy pgbouncer; xcode-select --install
			  PostgreSQL elsewhere: LAYERCAKE_PG_BIN=<folder of initdb and postgres>, or a server: LAYERCAKE_DATABASE_URL
		MESSAGE
		exit 1
	fi
	[ "$1" = test ] || return 0
	[ -z "$optional" ] || echo "setup: some tests are skipped without$optional" >&2
	echo "$optional" >.tools/without
}

# The stamp is a copy of the lock file that node_modules was made from.
set_up_npm() {
	folder=internal/npmtest stamp=internal/npmtest/node_modules/.layercake-lock
	[ -f $folder/package-lock.json ] && has node && has npm || return 0
	cmp -s $folder/package-lock.json $stamp && return 0
	(cd $folder && npm ci --no-audit --no-fund --loglevel=error) >&2
	cp $folder/package-lock.json $stamp
}

has go || { echo "setup: Go is missing: see https://go.dev/doc/install (go.mod names the version)" >&2; exit 1; }
case "${1:-}" in
run) set_up_packages run ;;
test) set_up_packages test && set_up_npm ;;
*) echo "usage: $0 run|test" >&2; exit 2 ;;
esac
