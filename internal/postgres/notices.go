package postgres

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// noticeKey names, among what a connection carries, the function that hears the server's notices.
const noticeKey = "layercake.notices"

// HearNotices calls a function with each notice and warning of the server on a lent connection, until f returns.
func HearNotices(conn *pgx.Conn, hear func(*pgconn.Notice), f func() error) error {
	data := conn.PgConn().CustomData()
	data[noticeKey] = hear
	defer delete(data, noticeKey) // the next borrower did not ask
	return f()
}

func hearNotice(conn *pgconn.PgConn, n *pgconn.Notice) {
	if hear, ok := conn.CustomData()[noticeKey].(func(*pgconn.Notice)); ok {
		hear(n)
	}
}
