// Package pgtest gives each test a fresh, migrated PostgreSQL database.
//
// The first test of a process starts a private server, whose data folder is a copy of a cached one with a migrated
// template database; each test then clones the template. The server and its folder go with the process, however it
// ends. With TEST_DATABASE_URL set, databases are made in that server instead.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"layercake/internal/embeddedpg"
)

// TestingM is what testing.M and goleak have in common.
type TestingM interface{ Run() int }

// New returns the URL of a new database with the current schema. It is dropped when the test ends, connections or not.
// Without PostgreSQL the test is skipped, or fails where CI is set.
func New(t testing.TB) string {
	t.Helper()
	admin, err := shared.url()
	if err != nil {
		skipWithoutBinaries(t, err)
		t.Fatal(err)
	}
	return newDatabase(t, admin)
}

// Binaries returns the folder of PostgreSQL's programs. Like New it skips or fails without them.
func Binaries(t testing.TB) string {
	t.Helper()
	bin, err := embeddedpg.FindBinaries(os.Getenv("LAYERCAKE_PG_BIN"))
	if err != nil {
		skipWithoutBinaries(t, err)
		t.Fatal(err)
	}
	return bin
}

// Folder returns a new folder for the data of an embedded server, which is removed when the test ends. It is faster than
// t.TempDir, and open to the account that the server of root runs as.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Main is for packages that look for leaked goroutines: it wraps m so that the server ends after the last test. Nothing
// here works after that.
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
func Main(m TestingM) TestingM { return main{m} }

type main struct{ m TestingM }

func (m main) Run() int {
	code := m.m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	return code
}

// shared is the server of this process.
var shared process

type process struct {
	mu     sync.Mutex
	tried  bool
	admin  string // URL of a database to make others from
	err    error
	server *embeddedpg.Server
}

func (p *process) url() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tried {
		p.tried = true
		p.err = p.start()
	}
	return p.admin, p.err
}

func (p *process) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if given := os.Getenv("TEST_DATABASE_URL"); given != "" {
		p.admin = given
		return makeTemplate(ctx, given)
	}
	cfg, err := copyCluster(ctx)
	if err != nil {
		return err
	}
	cfg.Settings["synchronous_commit"] = "off"
	if p.server, err = embeddedpg.Start(ctx, cfg); err != nil {
		return err
	}
	p.admin = p.server.URL()
	return nil
}

func (p *process) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return errors.Join(p.server.Stop(ctx), untilClosed.Close())
}

func skipWithoutBinaries(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, embeddedpg.ErrNoBinaries) && os.Getenv("CI") == "" {
		t.Skipf("set TEST_DATABASE_URL, or: %v", err)
	}
}

var databases atomic.Int64

// newDatabase clones the template of the server at admin for the length of the test.
func newDatabase(t testing.TB, admin string) string {
	t.Helper()
	// The text keeps processes apart that share the server of TEST_DATABASE_URL.
	name := fmt.Sprintf("layercake_test_%d_%s", databases.Add(1), strings.ToLower(rand.Text()[:10]))
	if err := execute(admin, "CREATE DATABASE "+name+" TEMPLATE "+templateName()); err != nil {
		t.Fatalf("make database: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	u, err := inDatabase(admin, name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// execute runs one statement on a connection of its own: nothing stays open that a test could find leaking.
func execute(url, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// inDatabase returns the URL of another database of the same server.
func inDatabase(admin, name string) (string, error) {
	u, err := url.Parse(admin)
	if err == nil && u.Scheme == "" {
		err = errors.New("no URL such as postgres://user@host/postgres")
	}
	if err != nil {
		return "", fmt.Errorf("TEST_DATABASE_URL: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}
