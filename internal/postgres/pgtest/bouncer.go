package pgtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"layercake/internal/child"

	"github.com/jackc/pgx/v5"
)

// Bouncer starts a PgBouncer in transaction mode until the test ends, and returns the URL of a database through it. Its console is the
// database pgbouncer. It skips where PgBouncer is absent, and fails where CI is set.
func Bouncer(t testing.TB, database, settings string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // often not in the PATH
	}
	switch {
	case err != nil && os.Getenv("CI") == "":
		t.Skip("PgBouncer is not installed")
	case err != nil:
		t.Fatal(err)
	}
	server, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	folder := Folder(t)
	// Every client becomes the role of the URL. Files have fixed names, since the folder belongs to this pooler alone. Without
	// server_login_retry = 0, PgBouncer would take a connection that RECONNECT ends while it logs in for one that failed, and wait 15 s.
	config := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr =
unix_socket_dir = %s
listen_port = 6432
auth_type = any
admin_users = %[3]s
pool_mode = transaction
default_pool_size = 5
max_client_conn = 400
server_login_retry = 0
logfile = %[4]s/log
%s
`, server.Host, server.Port, server.User, folder, settings)
	file := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--quiet", file)
	cmd.Stderr = t.Output()
	if os.Geteuid() == 0 { // PgBouncer refuses to run as root
		account, err := user.Lookup("postgres") // the account of the server
		if err != nil {
			account, err = user.Lookup("nobody")
		}
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(folder, uid, gid); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	ended := make(chan struct{})
	if err := child.Start(cmd, syscall.SIGKILL, func(error) { close(ended) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it has ended, or it ends
		<-ended
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(Patience); ; {
		if conn, err := net.Dial("unix", filepath.Join(folder, ".s.PGSQL.6432")); err == nil {
			_ = conn.Close()
			break
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatal("PgBouncer ended")
		case <-deadline:
			t.Fatal("PgBouncer does not listen")
		}
	}
	q := url.Values{"host": {folder}, "port": {"6432"}, "user": {server.User}, "sslmode": {"disable"}}
	return "postgres:///" + server.Database + "?" + q.Encode()
}
