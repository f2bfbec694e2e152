package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Epoch names one history of a database: the cluster and its timeline. Versions are comparable within one epoch only: after a
// standby was promoted, the same number can mean another event. Its text has no blanks and no dots, so that cursors and lines can hold it.
type Epoch string

// EpochOf builds the epoch from the cluster's system identifier and the name of the WAL file that it writes to now, whose
// first eight hex digits are the timeline. (The timeline in the checkpoint can lag behind a promotion by minutes.)
func EpochOf(systemIdentifier, walFile string) (Epoch, error) {
	id, err := strconv.ParseUint(systemIdentifier, 10, 64)
	if err != nil {
		return "", fmt.Errorf("system identifier %q: %w", systemIdentifier, err)
	}
	if len(walFile) < 8 {
		return "", fmt.Errorf("name of the WAL file %q is too short", walFile)
	}
	timeline, err := strconv.ParseUint(walFile[:8], 16, 32)
	if err != nil {
		return "", fmt.Errorf("timeline in %q: %w", walFile, err)
	}
	return Epoch(strconv.FormatUint(id, 36) + "-" + strconv.FormatUint(timeline, 10)), nil
}

// ReadEpoch asks the server behind conn. A standby answers with an error: epochs belong to servers that accept writes.
func ReadEpoch(ctx context.Context, conn *pgx.Conn) (Epoch, error) {
	var id, file string
	err := conn.QueryRow(ctx,
		"SELECT (pg_control_system()).system_identifier::text, pg_walfile_name(pg_current_wal_lsn())").Scan(&id, &file)
	if err != nil {
		return "", fmt.Errorf("read epoch: %w", err)
	}
	return EpochOf(id, file)
}

// epochKey is the key under which a pooled connection keeps its epoch.
const epochKey = "layercake.epoch"

// EpochOfConn returns the epoch that was read when conn was opened by a Pool.
func EpochOfConn(conn *pgx.Conn) Epoch {
	epoch, _ := conn.PgConn().CustomData()[epochKey].(Epoch)
	return epoch
}
