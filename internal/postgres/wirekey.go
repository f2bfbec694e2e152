package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// ReadWireKey returns the key with which replicas seal what they tell each other, and the process id under which the server names the
// session of conn to those who listen.
func ReadWireKey(ctx context.Context, conn *pgx.Conn) (key []byte, pid uint32, err error) {
	row, err := db.New(conn).GetWireKey(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, errors.New("there is no key of the wire: run `layercake migrate --new-wire-key`")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the key of the wire: %w", err)
	}
	return row.Key, uint32(row.Pid), nil
}

// RenewWireKey makes another key, and ends the sessions that use the former one: replicas dial again and read the new key. It is called as
// the role of the replicas, which may end its own sessions.
//
// First the publishers end, and then the listeners. So every line that a listener cannot open for want of the key was said before that
// listener dials again, and each dial is followed by a look at the tables. A session that read the former key while the new one was
// committed is older than the commit, and so is seen and ended.
func RenewWireKey(ctx context.Context, url string, log *slog.Logger) error {
	conn, err := maintenance.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("renew the key of the wire: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := db.New(conn).UpsertWireKey(ctx); err != nil {
		return fmt.Errorf("renew the key of the wire: %w", err)
	}
	var ended [2]int
	for n, kind := range []string{"publisher", "listener"} {
		if err := conn.QueryRow(ctx, endWireSessions, kind).Scan(&ended[n]); err != nil {
			return fmt.Errorf("end each %s that has the former key: %w", kind, err)
		}
	}
	log.InfoContext(ctx, "renewed the key of the wire", "publishers", ended[0], "listeners", ended[1])
	return nil
}

// endWireSessions ends the publishers or the listeners of all replicas, and waits until they have ended. Any role can give its sessions
// such a name, so those of others are left alone.
const endWireSessions = `SELECT count(*) FILTER (WHERE e.ended) FROM (
	SELECT pg_terminate_backend(a.pid, 5000) AS ended FROM pg_stat_activity a
	WHERE a.datname = current_database() AND a.usename = session_user AND a.application_name LIKE 'layercake/%/' || $1) e`
