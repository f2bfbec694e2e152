package server_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// ownedBy gives an empty database to a new role, which goes with the test, and returns the role and the URL for it.
func ownedBy(t *testing.T, database string, dba console, options string) (role, theirs string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	role = "app_of_" + strings.TrimPrefix(u.Path, "/")
	dba.run("CREATE ROLE " + role + " LOGIN " + options + "; ALTER DATABASE %[1]I OWNER TO " + role + "; ALTER SCHEMA public OWNER TO " + role)
	dropsRole(t, database, role)
	q := u.Query()
	q.Set("user", role)
	u.RawQuery = q.Encode()
	return role, u.String()
}

// Roles and databases have limits of their own. A replica takes no more than its share of them, and when others use them up its
// requests wait for the connections that it has.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options, limit string
		others         int // sessions that are not of the replica
	}{
		"of the role":                       {"CONNECTION LIMIT 20", "", 0},
		"of the database":                   {"", "ALTER DATABASE %[1]I CONNECTION LIMIT 20", 0},
		"of the role, which others use":     {"CONNECTION LIMIT 20", "", 8},
		"of the database, which others use": {"", "ALTER DATABASE %[1]I CONNECTION LIMIT 20", 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database, dba := emptyDatabase(t)
			_, theirs := ownedBy(t, database, dba, c.options)
			if c.limit != "" {
				dba.run(c.limit)
			}
			var log notes
			replica := servertest.StartOn(t, theirs, 1, func(c *server.Config) {
				c.AdminAddr = "127.0.0.1:0"
				c.Replicas, c.PoolMax, c.Log = 1, 100, slog.New(slog.NewTextHandler(&log, nil))
			})[0]
			if !strings.Contains(log.String(), `msg="request pool is capped"`) || !strings.Contains(log.String(), "size=9 ") {
				t.Errorf("the log does not say that the pool has 9 connections:\n%s", &log)
			}
			newProject(t, replica.URL)
			for range c.others {
				openConsole(t, theirs)
			}
			load(t, replica.URL)
			if c.others == 0 {
				if strings.Contains(log.String(), "refuses") {
					t.Errorf("the replica takes more than its share:\n%s", &log)
				}
				return
			}
			until(t, "a refusal", func() bool {
				load(t, replica.URL)
				return strings.Contains(log.String(), "refuses")
			})
			// Each pool says so once: that of the requests, and on a busy machine others that had to connect.
			text, said := log.String(), map[string]int{}
			for _, refusal := range refusals.FindAllStringSubmatch(text, -1) {
				said[refusal[1]]++
			}
			if len(said) == 0 || slices.Max(slices.Collect(maps.Values(said))) != 1 ||
				!strings.Contains(text, "too many connections for") || !strings.Contains(text, "CONNECTION LIMIT") {
				t.Errorf("the log does not say once that connections are refused, and what to do:\n%s", text)
			}
			status, body := health(t, replica.Admin+"/health?verbose")
			if !strings.Contains(body, `"connections":{"ok":true,"detail":"the database refused a connection`) || status != http.StatusOK {
				t.Errorf("/health does not speak of a refusal: %d %s", status, body)
			}
			// Sessions that begin together are all refused where only some find room, so it takes a while until none is left.
			until(t, "the diagnosis", func() bool {
				load(t, replica.URL)
				_, body := health(t, replica.Admin+"/health?verbose")
				return connections.MatchString(body)
			})
		})
	}
}

// refusals are lines of the log, each with the pool that was refused a connection.
var refusals = regexp.MustCompile(`the database refuses connections.* pool=(\w+)`)

// connections is a row of the diagnosis that is not well.
var connections = regexp.MustCompile(`{"check":"connections","status":"(warn|fail)","detail":"\d+ of 20 in use [^}]*CONNECTION LIMIT`)

// load asks many things at once. None of them fails.
func load(t *testing.T, replica string) {
	t.Helper()
	var requests sync.WaitGroup
	for range 60 {
		requests.Go(func() {
			for range 5 {
				if a := ask(t, replica, `{ getPlanDag(projectId: 1) { version } }`); a.Code() != "" {
					t.Errorf("a request failed: %+v", a.Errors)
				}
			}
		})
	}
	requests.Wait()
}

func TestTooSmallALimitIsRefused(t *testing.T) {
	t.Parallel()
	database, dba := emptyDatabase(t)
	role, theirs := ownedBy(t, database, dba, "CONNECTION LIMIT 10")
	err := servertest.Fails(t, theirs, func(c *server.Config) { c.Replicas = 3 })
	if want := fmt.Sprintf("the CONNECTION LIMIT of the role %s is 10", role); err == nil || !strings.Contains(err.Error(), want) ||
		!strings.Contains(err.Error(), "LAYERCAKE_REPLICAS") {
		t.Errorf("%v, want %q and advice", err, want)
	}
}
