// Package embeddedpg runs a private PostgreSQL server as a child process.
//
// A server belongs to one data folder, which nobody else may use at the same time:
//
//	<data folder>/postgres.lock   flock of the process that runs the server; names it
//	<data folder>/postgres.init   initdb's work until it is complete, then renamed to
//	<data folder>/postgres        the cluster; never removed, never upgraded
//	<run folder>/layercake-pg-<hash of the data folder>/.s.PGSQL.5432
//
// There is no TCP port and no password: the socket's folder is open to the server's account and to root only.
//
// Whatever dies, the next Start finds the committed data. When the process that runs the server is killed, Linux
// signals the server to shut down; a server that still runs, as on other systems, is stopped by the next Start.
package embeddedpg
