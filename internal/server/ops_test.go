package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"layercake/internal/operate"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
)

func withAdmin(c *server.Config) { c.AdminAddr = "127.0.0.1:0" }

// asked sends a request to the admin address, with headers in pairs, and returns the status and the body.
func asked(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// opsPage is what a browser says of a question of the page at an admin address.
func opsPage(admin string) []string {
	return []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Origin", admin, "Content-Type", "application/json"}
}

// refusal is an error of the page's routes.
type refusal struct {
	Error struct{ Message, Detail, Hint, SQLState string }
}

func calls(t *testing.T, admin, function, arguments string) (status int, a operate.Answer, r refusal) {
	t.Helper()
	status, text := asked(t, http.MethodPost, admin+"/ops/api/"+function, arguments, opsPage(admin)...)
	into := any(&a)
	if status != http.StatusOK {
		into = &r
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %d %s", function, status, text)
	}
	return status, a, r
}

// overview is what the page shows.
type overview struct {
	Role, Database string
	May            []string
	Followed       []map[string]any
	Views          map[string]struct {
		Total int
		SQL   string
		Rows  []map[string]any
	}
}

func shows(t *testing.T, admin, path string) (o overview) {
	t.Helper()
	status, text := asked(t, http.MethodGet, admin+"/ops/api/"+path, "", "Sec-Fetch-Site", "same-origin")
	if err := json.Unmarshal([]byte(text), &o); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, status, text)
	}
	return o
}

// Only the page of the admin address itself reaches what it shows and does: no other page can make an operator's browser do so.
func TestOpsIsForItsOwnPage(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	admin := servertest.StartOn(t, database, 1, withAdmin)[0].Admin
	const nobody = `{"user_id":"nobody"}`
	page := opsPage(admin)
	with := func(header ...string) []string { return append(slices.Clone(page), header...) }
	link := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	for name, c := range map[string]struct {
		method, path string
		header       []string
		want         int
	}{
		"the page asks":                     {"GET", "/ops/api/all", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"the page asks, with its origin":    {"GET", "/ops/api/all", page, 200},
		"the page calls":                    {"POST", "/ops/api/kick_user", page, 400}, // PostgreSQL finds nobody
		"its script":                        {"GET", "/ops/icon.svg", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"somebody types the address":        {"GET", "/ops", append([]string{"Sec-Fetch-Site", "none"}, link...), 200},
		"somebody types a slash, too":       {"GET", "/ops/", append([]string{"Sec-Fetch-Site", "none"}, link...), 200},
		"somebody reloads":                  {"GET", "/ops", append([]string{"Sec-Fetch-Site", "same-origin"}, link...), 200},
		"somebody types what the page asks": {"GET", "/ops/api/all", append([]string{"Sec-Fetch-Site", "none"}, link...), 403},
		"an extension":                      {"GET", "/ops", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "no-cors"}, 403},
		"a link of another site":            {"GET", "/ops", append([]string{"Sec-Fetch-Site", "cross-site"}, link...), 403},
		"another site asks":                 {"GET", "/ops/api/all", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another site calls":                {"POST", "/ops/api/kick_user", with("Sec-Fetch-Site", "cross-site", "Origin", "https://foreign.example"), 403},
		"another port asks":                 {"GET", "/ops/api/all", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"another port calls":                {"POST", "/ops/api/kick_user", with("Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"), 403},
		"curl asks":                         {"GET", "/ops/api/all", nil, 403},
		"curl wants the page":               {"GET", "/ops", nil, 403},
		"curl calls":                        {"POST", "/ops/api/kick_user", []string{"Content-Type", "application/json"}, 403},
		"a browser that says only where it is from": {
			"POST", "/ops/api/kick_user", []string{"Content-Type", "application/json", "Origin", admin}, 403,
		},
		"a call without an origin":     {"POST", "/ops/api/kick_user", []string{"Content-Type", "application/json", "Sec-Fetch-Site", "same-origin"}, 403},
		"a call of another origin":     {"POST", "/ops/api/kick_user", with("Origin", "http://127.0.0.1:1"), 403},
		"a call of no origin":          {"POST", "/ops/api/kick_user", with("Origin", "null"), 403},
		"a question of another origin": {"GET", "/ops/api/all", with("Origin", "http://127.0.0.1:1"), 403},
		"a form":                       {"POST", "/ops/api/kick_user", with("Content-Type", "text/plain"), 415},
		"a form with fields":           {"POST", "/ops/api/kick_user", with("Content-Type", "application/x-www-form-urlencoded"), 415},
		"a type with a parameter":      {"POST", "/ops/api/kick_user", with("Content-Type", "application/json; charset=utf-8"), 400},
		"a name that leads here":       {"GET", "/ops/api/all", with("Host", "foreign.example", "Origin", "http://foreign.example"), 421},
		"a name that leads here calls": {"POST", "/ops/api/kick_user", with("Host", "foreign.example", "Origin", "http://foreign.example"), 421},
		"the page by such a name":      {"GET", "/ops", append([]string{"Sec-Fetch-Site", "none", "Host", "foreign.example"}, link...), 421},
		"the page calls by a link":     {"GET", "/ops/api/kick_user", page, 404}, // no view
		"an unknown view":              {"GET", "/ops/api/users", page, 404},
		"a table":                      {"GET", "/ops/api/public.users", page, 404},
		"a view that is not shown":     {"GET", "/ops/api/plan_history", page, 404},
		"an unknown function":          {"POST", "/ops/api/pg_terminate_backend", page, 404},
		"a function that grants":       {"POST", "/ops/api/grant_operator", page, 404},
		"a function of the past":       {"POST", "/ops/api/plan_at", page, 404},
		"a filter of another view":     {"GET", "/ops/api/who?builds=x", page, 400},
		"an unknown filter":            {"GET", "/ops/api/all?users=x", page, 400},
		"a long filter":                {"GET", "/ops/api/all?who=" + strings.Repeat("x", 101), page, 400},
		"a filter with NUL":            {"GET", "/ops/api/all?who=%00", page, 400},
		"a filter that is no UTF-8":    {"GET", "/ops/api/all?who=%ff", page, 400},
		"commands that are no numbers": {"GET", "/ops/api/all?follow=1,x", page, 400},
		"too many commands":            {"GET", "/ops/api/all?follow=1" + strings.Repeat(",1", 20), page, 400},
		"another method":               {"PUT", "/ops/api/kick_user", page, 405},
		// What was there before is for programs, and for no page, its own included.
		"metrics for the page": {"GET", "/metrics", []string{"Origin", admin, "Sec-Fetch-Site", "same-origin"}, 403},
		"health for a page":    {"GET", "/health", []string{"Origin", admin}, 403},
		"metrics for curl":     {"GET", "/metrics", nil, 200},
	} {
		body := ""
		if c.method != http.MethodGet {
			body = nobody
		}
		if got, text := asked(t, c.method, admin+c.path, body, c.header...); got != c.want {
			t.Errorf("%s: %d, want %d: %s", name, got, c.want, text)
		}
	}
	if n := pgtest.Count(t, pgtest.Connect(t, database), "SELECT count(*) FROM commands"); n != 0 {
		t.Errorf("%d commands were given", n)
	}
}

// The requests of routes of the admin address, by their patterns: method, path and body.
var adminRequests = map[string][3]string{
	"/health":                {http.MethodGet, "/health?verbose"},
	"/metrics":               {http.MethodGet, "/metrics"},
	"/debug/pprof/profile":   {http.MethodGet, "/debug/pprof/profile?seconds=1"},
	"/debug/pprof/symbol":    {http.MethodGet, "/debug/pprof/symbol"},
	"/debug/pprof/trace":     {http.MethodGet, "/debug/pprof/trace?seconds=0.01"},
	"/debug/pprof/*":         {http.MethodGet, "/debug/pprof/heap"},
	"/ops":                   {http.MethodGet, "/ops"},
	"/ops/*":                 {http.MethodGet, "/ops/icon.svg"},
	"/ops/api/{view}":        {http.MethodGet, "/ops/api/who"},
	"/ops/api/{function}":    {http.MethodPost, "/ops/api/undrain", `{"replica":"ADDRESS"}`},
	"/debug/pprof/cmdline":   {http.MethodGet, "/debug/pprof/cmdline"}, // not in the router, like the next ones
	"/graphql":               {http.MethodPost, "/graphql", "{}"},
	"/login, /, /client/...": {http.MethodGet, "/login"},
}

// Every route of the admin address: who can connect may, but no page of anybody else may make their browser do so.
func TestRightsOfAdminAddress(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, func(c *server.Config) { withAdmin(c); required(c) })[0]
	openConsole(t, database).await("1", "SELECT count(*)::text FROM layercake.replicas")
	until(t, "the listener", func() bool { return get(t, replica.URL+"/health") == http.StatusOK })
	patterns := server.AdminPatterns(t)
	for pattern := range adminRequests {
		if !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	const jsonType = "application/json"
	columns := []string{"program", "page of /ops", "typed address", "link", "page of another port", "page of another site", "foreign name"}
	headers := [][]string{
		{"Content-Type", jsonType},
		opsPage(replica.Admin),
		{"Content-Type", jsonType, "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
		{"Content-Type", jsonType, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
		{"Content-Type", jsonType, "Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"},
		{"Content-Type", jsonType, "Sec-Fetch-Site", "cross-site", "Origin", "https://foreign.example"},
		{"Content-Type", jsonType, "Sec-Fetch-Site", "same-origin", "Origin", "http://foreign.example", "Host", "foreign.example"},
	}
	table := rightsTable{}
	for _, pattern := range patterns {
		request, ok := adminRequests[pattern]
		if !ok {
			t.Errorf("no request that fits %s: add it", pattern)
			continue
		}
		for _, header := range headers {
			body := strings.ReplaceAll(request[2], "ADDRESS", address(replica))
			status, text := asked(t, request[0], replica.Admin+request[1], body, header...)
			cell := fmt.Sprintf("%d: %.100s", status, text)
			switch status {
			case http.StatusOK:
				cell = cellYes
			case http.StatusForbidden, http.StatusMisdirectedRequest:
				cell = cellNo
			case http.StatusNotFound:
				cell = cellAbsent
			}
			table[pattern] = append(table[pattern], cell)
		}
	}
	table.compare(t, "route of the admin address", columns)
}

// What a function is given is a value, and what it answers is shown: an error, a warning, a result.
func TestOpsCallsFunctions(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, withAdmin)
	admin, there := replicas[0].Admin, replicas[1]
	newProject(t, there.URL)
	dba := openConsole(t, database)
	dba.await("2", "SELECT count(*)::text FROM layercake.replicas")
	for name, c := range map[string]struct{ function, arguments, sqlstate, message, hint string }{
		"a value of the wrong type": {"kick", `{"connection_id":"x"}`, "22P02", `invalid input syntax for type uuid: "x"`, ""},
		"a time of the wrong type":  {"drain", `{"replica":"x","spread":"soon"}`, "22007", `invalid input syntax for type interval: "soon"`, ""},
		"no number":                 {"cancel_build", `{"project":"1; DROP TABLE users","node":"a"}`, "22P02", `invalid input syntax for type integer`, ""},
		"nobody":                    {"kick_user", `{"user_id":"x'); DROP TABLE users; --"}`, postgres.NoDataFound, `No connection is of user "x'); DROP`, "layercake.who"},
		"no replica":                {"drain", `{"replica":"c:1"}`, postgres.NoDataFound, `No live replica is called "c:1"`, "Live replicas: "},
		"a time too long":           {"drain", `{"replica":"` + address(there) + `","spread":"2 hours"}`, postgres.InvalidParameterValue, "The spread is 02:00:00", "1 hour"},
		"nothing built":             {"cancel_build", `{"project":"1","node":"a"}`, postgres.NoDataFound, "Nothing is built", "layercake.builds"},
		"a reason too long":         {"kick_user", `{"user_id":"ann","reason":"` + strings.Repeat("x", 1001) + `"}`, postgres.CheckViolation, "", ""},
		"an unknown argument":       {"undrain", `{"replica":"x","spread":"1 s"}`, "", `undrain has no argument "spread"`, ""},
		"an argument that is SQL":   {"undrain", `{"replica":"x","(SELECT 1) --":"1"}`, "", `undrain has no argument`, ""},
		"no argument":               {"kick", `{"reason":"x"}`, "", "kick needs connection_id", ""},
		"an argument that is none":  {"kick", `{"connection_id":7}`, "", "an object of texts", ""},
		"a list":                    {"kick", `[]`, "", "an object of texts", ""},
		"no JSON":                   {"kick", `connection_id=x`, "", "an object of texts", ""},
		"a NUL":                     {"kick_user", `{"user_id":"\u0000"}`, "", "user_id contains a NUL character", ""},
	} {
		if c.function == "kick_user" && strings.Contains(c.arguments, "ann") {
			join(t, there.URL, "Ann")
			dba.await("1", "SELECT count(*)::text FROM layercake.who")
		}
		status, _, r := calls(t, admin, c.function, c.arguments)
		got := r.Error
		if status != http.StatusBadRequest || got.SQLState != c.sqlstate || !strings.Contains(got.Message, c.message) || !strings.Contains(got.Hint, c.hint) {
			t.Errorf("%s: %d %+v", name, status, got)
		}
	}
	if n := dba.text("SELECT count(*)::text FROM commands"); n != "0" {
		t.Errorf("%s commands were given", n)
	}

	id := dba.text("SELECT replica FROM layercake.replicas WHERE address = $1", address(there))
	status, drained, _ := calls(t, admin, "drain", `{"replica":"`+id+`","spread":"100 ms"}`)
	if status != http.StatusOK || len(drained.Notices) != 0 {
		t.Errorf("drain: %d %+v", status, drained)
	}
	dba.await("draining", "SELECT state FROM layercake.replicas WHERE address = $1", address(there))
	followed := shows(t, admin, "all?follow="+drained.Result).Followed
	if len(followed) != 1 || followed[0]["kind"] != "drain" || followed[0]["client"] != "127.0.0.1" || followed[0]["spread"] != "00:00:00.1" {
		t.Errorf("followed: %v", followed)
	}
	// The other one is the last: the warning of PostgreSQL comes with the answer.
	status, last, _ := calls(t, admin, "drain", `{"replica":"`+address(replicas[0])+`","spread":"0"}`)
	if status != http.StatusOK || len(last.Notices) != 1 || last.Notices[0].Severity != "WARNING" ||
		!strings.HasPrefix(last.Notices[0].Message, "No other replica takes sockets") {
		t.Errorf("drain of the last: %d %+v", status, last)
	}
	for _, r := range replicas {
		calls(t, admin, "undrain", `{"replica":"`+address(r)+`"}`)
	}
	dba.await("live live", "SELECT string_agg(state, ' ') FROM layercake.replicas")
	// A session of SQL has its own address, and an argument that is left out its default.
	dba.text("SELECT layercake.undrain($1)::text", address(there))
	if got := dba.text("SELECT string_agg(DISTINCT coalesce(client, 'none'), ' ') FROM layercake.commands"); !strings.Contains(got, "127.0.0.1") {
		t.Errorf("clients: %s", got)
	}
	pgtest.Exec(t, dba.conn, `INSERT INTO users (username, email, display_name, avatar_color) VALUES ('cleo', 'cleo@example.com', 'Cleo', '#10b981')`)
	for function, want := range map[string]string{"end_sessions": "0", "disable_user": "", "enable_user": ""} {
		if status, a, r := calls(t, admin, function, `{"account":"cleo"}`); status != http.StatusOK || a.Result != want {
			t.Errorf("%s: %d %+v %+v", function, status, a, r)
		}
	}
}

// The list of functions is closed, and whole: what is added to the schema is added here, or is no command.
func TestOpsKnowsEveryCommand(t *testing.T) {
	t.Parallel()
	dba := openConsole(t, pgtest.New(t))
	made := pgtest.Texts(t, dba.conn, `SELECT proname::text FROM pg_proc WHERE pronamespace = 'layercake'::regnamespace
		AND proname !~ '^(grant_.*|plan_at|plan_diff|verify_plan|check_health)$' ORDER BY 1`)
	if diff := cmp.Diff(made, operate.ConsoleFunctions()); diff != "" {
		t.Error(diff)
	}
}

// loggedIn makes a role that may connect, and returns it and the URL for it. It goes with the test.
func loggedIn(t *testing.T, database string, dba console) (role, theirs string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	role = "reader_of_" + strings.TrimPrefix(u.Path, "/")
	dba.run("CREATE ROLE " + role + " LOGIN")
	dropsRole(t, database, role)
	q := u.Query()
	q.Set("user", role)
	u.RawQuery = q.Encode()
	return role, u.String()
}

// A replica whose role may only read shows figures, and says which functions it may not call.
func TestOpsOfARoleThatOnlyReads(t *testing.T) {
	t.Parallel()
	database, dba := emptyDatabase(t)
	owner := servertest.StartOn(t, database, 1, nil)[0] // migrates
	role, theirs := loggedIn(t, database, dba)
	dba.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO " + role + "; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO " + role +
		"; GRANT USAGE ON SCHEMA public TO " + role)
	pgtest.Exec(t, dba.conn, "SELECT layercake.grant_reader('"+role+"')")
	admin := servertest.StartOn(t, theirs, 1, func(c *server.Config) { withAdmin(c); c.Migrate = false })[0].Admin
	dba.await("2", "SELECT count(*)::text FROM layercake.replicas")
	o := shows(t, admin, "all")
	if o.Role != role || len(o.May) != 0 || len(o.Views["replicas"].Rows) != 2 {
		t.Errorf("%+v", o)
	}
	status, _, r := calls(t, admin, "drain", `{"replica":"`+address(owner)+`"}`)
	if status != http.StatusForbidden || r.Error.SQLState != postgres.InsufficientPrivilege || !strings.Contains(r.Error.Message, "permission denied") {
		t.Errorf("a drain: %d %+v", status, r)
	}
	pgtest.Exec(t, dba.conn, "SELECT layercake.grant_operator('"+role+"')")
	until(t, "the rights", func() bool { return len(shows(t, admin, "all").May) == len(operate.ConsoleFunctions()) })
	if status, _, r := calls(t, admin, "undrain", `{"replica":"`+address(owner)+`"}`); status != http.StatusOK {
		t.Errorf("with the right: %d %+v", status, r)
	}
}

// Where other machines reach the admin address there is no page, unless somebody asked for it; then the log says so.
func TestOpsBeyondLoopback(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		address   string
		ops       server.Ops
		want      int
		isWarning bool
	}{
		"loopback":          {"127.0.0.1:0", server.OpsOnLoopback, http.StatusOK, false},
		"loopback, by name": {"localhost:0", server.OpsOnLoopback, http.StatusOK, false},
		"loopback, not":     {"127.0.0.1:0", server.OpsOff, http.StatusNotFound, false},
		"everywhere":        {"0.0.0.0:0", server.OpsOnLoopback, http.StatusNotFound, false},
		"everywhere, too":   {":0", server.OpsOnLoopback, http.StatusNotFound, false},
		"everywhere, on":    {"0.0.0.0:0", server.OpsOn, http.StatusOK, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log notes
			admin := servertest.Start(t, 1, func(cfg *server.Config) {
				cfg.AdminAddr, cfg.Ops, cfg.Log = c.address, c.ops, slog.New(slog.NewTextHandler(&log, nil))
			})[0].Admin
			admin = strings.Replace(admin, "[::]", "127.0.0.1", 1)
			for _, path := range []string{"/ops", "/ops/api/all", "/ops/icon.svg"} {
				if got, _ := asked(t, "GET", admin+path, "", "Sec-Fetch-Site", "same-origin"); got != c.want {
					t.Errorf("%s: %d, want %d", path, got, c.want)
				}
			}
			want := c.want
			if want == http.StatusOK {
				want = http.StatusBadRequest // PostgreSQL finds nobody
			}
			if got, _ := asked(t, "POST", admin+"/ops/api/kick_user", `{"user_id":"x"}`, opsPage(admin)...); got != want && c.want == http.StatusOK {
				t.Errorf("a call: %d, want %d", got, want)
			}
			if got := bytes.Contains([]byte(log.String()), []byte("at /ops")); got != c.isWarning {
				t.Errorf("the log warns: %v\n%s", got, &log)
			}
		})
	}
}

// The answer has at most 200 rows of a view and says how many there are; a filter finds those that are not among them.
func TestOpsShowsViews(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, withAdmin)[0]
	newProject(t, replica.URL)
	dba := openConsole(t, database)
	pgtest.Exec(t, dba.conn, `INSERT INTO presence (connection_id, expires_at, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
			joined_at, active_at)
		SELECT gen_random_uuid(), now() + interval '1 h', 1, n, 'u' || n, 'Person ' || n || CASE n WHEN 1 THEN ' O''Hara%_\' ELSE '' END, '', false, 'graphql',
			now() + n * interval '1 s', now() FROM generate_series(1, 450) n`)
	who := shows(t, replica.Admin, "all").Views["who"]
	if who.Total != 450 || len(who.Rows) != 200 || who.Rows[0]["user_name"] != "Person 450" {
		t.Errorf("%d of %d rows, first %v", len(who.Rows), who.Total, who.Rows[0])
	}
	for filter, want := range map[string]int{"person%20449": 1, "o%27hara%25_%5C": 1, "Person%201": 111, "nobody": 0, "%25": 1, "": 450} {
		o := shows(t, replica.Admin, "who?who="+filter)
		got := o.Views["who"]
		if got.Total != want || len(o.Views) != 1 {
			t.Errorf("%q: %d rows, want %d; %d views", filter, got.Total, want, len(o.Views))
		}
		// The statement that is shown is the one that was executed.
		if n := len(pgtest.Texts(t, dba.conn, "SELECT user_name FROM ("+strings.TrimSuffix(got.SQL, ";")+") q")); n != min(want, 200) {
			t.Errorf("%s has %d rows, want %d", got.SQL, n, min(want, 200))
		}
	}
	for view, v := range shows(t, replica.Admin, "all").Views {
		if _, err := dba.conn.Exec(t.Context(), v.SQL); err != nil {
			t.Errorf("%s: %v", view, err)
		}
	}
}

// While all connections of requests are in use, operators see and act.
func TestOpsWhileThePoolIsExhausted(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, func(c *server.Config) { withAdmin(c); c.PoolMax = 2 })[0]
	newProject(t, replica.URL)
	dba, other := openConsole(t, database), openConsole(t, database)
	pgtest.Exec(t, dba.conn, "BEGIN")
	pgtest.Exec(t, dba.conn, "LOCK TABLE projects IN EXCLUSIVE MODE") // which lets others read
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	for range 4 {
		waiting.Go(func() {
			const body = `{"query":"mutation { createProject(input: {name: \"Late\"}) { id } }"}`
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, replica.URL+"/graphql", strings.NewReader(body))
			if err != nil {
				return
			}
			r.Header.Set("Content-Type", "application/json")
			if response, err := http.DefaultTransport.RoundTrip(r); err == nil {
				_ = response.Body.Close()
			}
		})
	}
	other.await("2", "SELECT coalesce(max(pool_in_use), 0)::text FROM layercake.replicas")
	if got := shows(t, replica.Admin, "all").Views["replicas"].Rows[0]["pool_in_use"]; got != 2.0 {
		t.Errorf("%v connections are in use, want 2", got)
	}
	if status, _, r := calls(t, replica.Admin, "undrain", `{"replica":"`+address(replica)+`"}`); status != http.StatusOK {
		t.Errorf("a call: %d %+v", status, r)
	}
	cancel()
	pgtest.Exec(t, dba.conn, "ROLLBACK")
}

// A database that does not answer keeps one connection of the replica at most, however many operators look, and they are told in time.
func TestOpsWhileAViewIsLocked(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	admin := servertest.StartOn(t, database, 1, withAdmin)[0].Admin
	dba, other := openConsole(t, database), openConsole(t, database)
	pgtest.Exec(t, dba.conn, "BEGIN; ALTER VIEW layercake.health RENAME TO gone") // which locks it
	answers := make(chan string, 6)
	for n := range cap(answers) {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), pgtest.Patience)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(admin, "/ops/api/health?health=", n), nil)
			if err != nil {
				answers <- err.Error()
				return
			}
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			response, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			answers <- fmt.Sprint(response.StatusCode, " ", string(text))
		}()
	}
	late, most := 0, 0
	for n := 0; n < cap(answers); {
		select {
		case answer := <-answers:
			if n++; !strings.HasPrefix(answer, "503 ") {
				t.Error(answer)
			}
			if strings.Contains(answer, postgres.QueryCanceled) {
				late++
			}
		default:
			most = max(most, pgtest.Count(t, other.conn, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%layercake.health v%'`))
		}
	}
	if most != 1 || late < 1 {
		t.Errorf("%d sessions waited at once, want 1; %d statements were ended, want 1 at least", most, late)
	}
}

// Without a database operators are told so, and that nobody knows what became of a call; when it is back, so is what is shown.
func TestOpsWithoutADatabase(t *testing.T) {
	t.Parallel()
	database := pgtest.Server(t)
	admin := servertest.StartOn(t, database.URL, 1, withAdmin)[0].Admin
	shows(t, admin, "all")
	database.Kill()
	until(t, "the failure", func() bool {
		status, text := asked(t, "GET", admin+"/ops/api/all", "", "Sec-Fetch-Site", "same-origin")
		return status == http.StatusServiceUnavailable && strings.Contains(text, "The database does not answer this replica")
	})
	status, _, r := calls(t, admin, "undrain", `{"replica":"x"}`)
	if status != http.StatusServiceUnavailable || !strings.Contains(r.Error.Hint, "Whether it was done is not known") {
		t.Errorf("a call: %d %+v", status, r)
	}
	database.Start()
	until(t, "the database", func() bool {
		status, _ := asked(t, "GET", admin+"/ops/api/all", "", "Sec-Fetch-Site", "same-origin")
		return status == http.StatusOK
	})
}

// What is shown changes nothing, whatever a view does.
func TestOpsOnlyReads(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	admin := servertest.StartOn(t, database, 1, withAdmin)[0].Admin
	dba := openConsole(t, database)
	pgtest.Exec(t, dba.conn, `CREATE OR REPLACE FUNCTION layercake.check_health() RETURNS TABLE ("check" text, status text, detail text, advice text)
		LANGUAGE sql AS $$ INSERT INTO public.projects (name) VALUES ('Written') RETURNING name, 'ok', '', '' $$`)
	if status, text := asked(t, "GET", admin+"/ops/api/health", "", "Sec-Fetch-Site", "same-origin"); status == http.StatusOK {
		t.Error(text)
	}
	if n := dba.text("SELECT count(*)::text FROM projects"); n != "0" {
		t.Errorf("%s projects were made", n)
	}
}
