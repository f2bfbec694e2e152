package pgtest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"layercake/internal/postgres/pgtest"
)

// beKilled makes the test binary a process that has a database and waits to be killed.
const beKilled = "PGTEST_TEST_BE_KILLED"

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := pgtest.Connect(t, pgtest.New(t)), pgtest.Connect(t, pgtest.New(t))
	for _, conn := range []*pgx.Conn{a, b} {
		if _, err := conn.Exec(t.Context(), "CREATE TABLE mine (id int)"); err != nil {
			t.Error(err)
		}
		if _, err := conn.Exec(t.Context(), "SELECT min_binary_schema FROM binaries"); err != nil {
			t.Errorf("the schema is not there: %v", err)
		}
	}
}

func TestDatabaseGoesWithTheTest(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("inner", func(t *testing.T) {
		url = pgtest.New(t)
		pgtest.Connect(t, url) // open until the end, which does not keep the database
	})
	conn, err := pgx.Connect(t.Context(), url)
	if err == nil {
		t.Error("the database is still there", conn.Close(t.Context()))
	}
}

func TestManyDatabasesAtOnce(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { pgtest.New(t) })
	}
	wg.Wait()
}

func TestServerKeepsItsAddressAndDataWhenItIsKilled(t *testing.T) {
	t.Parallel()
	s := pgtest.Server(t)
	pgtest.Exec(t, pgtest.Connect(t, s.URL), "CREATE TABLE kept AS SELECT 42 AS answer")
	s.Kill()
	s.Start()
	s.Restart()
	if answer := pgtest.Count(t, pgtest.Connect(t, s.URL), "SELECT answer FROM kept"); answer != 42 {
		t.Errorf("answer = %d, want 42", answer)
	}
}

func TestNothingIsLeftOfAKilledProcess(t *testing.T) {
	if os.Getenv(beKilled) != "" {
		fmt.Println(pgtest.Texts(t, pgtest.Connect(t, pgtest.New(t)), "SELECT current_setting('data_directory')")[0])
		select {}
	}
	t.Parallel()
	if os.Getenv("TEST_DATABASE_URL") != "" {
		t.Skip("the process has no server of its own with TEST_DATABASE_URL")
	}
	pgtest.New(t) // skips without PostgreSQL
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeftOfAKilledProcess$")
	cmd.Env = append(os.Environ(), beKilled+"=yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var folder string
	if _, err := fmt.Fscanln(out, &folder); err != nil {
		t.Fatalf("the process names no folder: %q, %v", folder, err)
	}
	folder = filepath.Dir(filepath.Dir(folder)) // of the process, above the data folder
	if ok, err := filepath.Match("layercake-test-*", filepath.Base(folder)); !ok {
		t.Fatalf("the process uses %s, %v", folder, err)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	deadline := time.After(time.Minute)
	for {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s is still there", folder)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		pgtest.New(b)
	}
}
