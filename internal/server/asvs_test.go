package server_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"layercake/graph"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// Methods that nobody knows are refused by every route, and no answer is a script that another site's page could run.
func TestUnknownMethodsAndCallbacks(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for _, pattern := range server.Patterns(t) {
		path := strings.NewReplacer("{id}", "1", "{node}", "n", "*", "x").Replace(pattern)
		for _, method := range []string{"BREW", "CONNECT", "PROPFIND"} {
			if response, body := sent(t, url, method, path, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d %s", method, path, response.StatusCode, body)
			}
		}
		response, body := sent(t, url, http.MethodGet, path+"?callback=stolen&jsonp=stolen&query={__typename}", "", "Accept: */*")
		if strings.HasPrefix(strings.TrimSpace(body), "stolen") || strings.Contains(response.Header.Get("Content-Type"), "javascript") {
			t.Errorf("%s: %s %.80s", path, response.Header.Get("Content-Type"), body)
		}
	}
}

// Browsers hide what is typed into the page for signing in, and managers of passwords may fill it in.
func TestFieldsOfTheLoginPage(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, required)[0].URL
	response, page := sent(t, url, http.MethodGet, "/login", "", "Accept: text/html")
	fields := regexp.MustCompile(`<input [^>]*autocomplete="([^"]*password)"[^>]*>`).FindAllStringSubmatch(page, -1)
	if response.StatusCode != http.StatusOK || len(fields) < 4 {
		t.Fatalf("%d, %d fields of passwords", response.StatusCode, len(fields))
	}
	for _, field := range fields {
		if !strings.Contains(field[0], `type="password"`) {
			t.Errorf("not hidden: %s", field[0])
		}
		if most := regexp.MustCompile(`maxlength="(\d+)"`).FindStringSubmatch(field[0]); most != nil && most[1] != "256" {
			t.Errorf("shorter than passwords may be: %s", field[0])
		}
	}
	if n := strings.Count(page, `type="password"`); n != len(fields) {
		t.Errorf("%d fields are hidden, %d are for managers of passwords", n, len(fields))
	}
	for _, file := range regexp.MustCompile(`src="(/login/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		_, script := sent(t, url, http.MethodGet, file[1], "")
		page += script
	}
	if strings.Contains(strings.ToLower(page), "paste") {
		t.Error("the page does something about pasting")
	}
}

// The cookie goes with its session, and so does what the browser has kept.
func TestLogoutOfABrowser(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, required)[0].URL
	registered(t, url, "ann")
	login := fmt.Sprintf(`{"query":"mutation { login(input: {email: \"ann\", password: \"%s\"}, cookie: true) { sessionId } }"}`, password)
	response, body := sent(t, url, http.MethodPost, "/graphql", login, "Content-Type: application/json", "Origin: "+url)
	cookies := response.Cookies
	if len(cookies) != 1 || strings.Contains(body, cookies[0].Value) {
		t.Fatalf("%v %s", cookies, body)
	}
	asks := func(query string) (reply, string) {
		return sent(t, url, http.MethodPost, "/graphql", query, "Content-Type: application/json", "Origin: "+url,
			"Cookie: "+cookies[0].Name+"="+cookies[0].Value)
	}
	if _, body := asks(`{"query":"{ projects { id } }"}`); strings.Contains(body, "UNAUTHENTICATED") {
		t.Fatalf("signed in: %s", body)
	}
	response, body = asks(`{"query":"mutation { logout(sessionId: \"\") }"}`)
	gone := response.Cookies
	if len(gone) != 1 || gone[0].Name != cookies[0].Name || gone[0].MaxAge >= 0 || !strings.Contains(response.Header.Get("Clear-Site-Data"), `"storage"`) {
		t.Errorf("%s: %v, Clear-Site-Data %q", body, gone, response.Header.Get("Clear-Site-Data"))
	}
	if _, body := asks(`{"query":"{ projects { id } }"}`); !strings.Contains(body, "UNAUTHENTICATED") {
		t.Errorf("signed out: %s", body)
	}
}

// Nobody gives themselves an id, a role or a state, and the schema shows no hash, and knows no hints.
func TestWhatClientsCannotState(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, required)[0].URL
	ann := registered(t, url, "ann")
	for _, more := range []string{`id: 1`, `role: "owner"`, `isActive: true`, `passwordHash: "x"`, `createdAt: "2020-01-01T00:00:00Z"`} {
		person{}.fails(t, url, fmt.Sprintf(`mutation { register(input: {email: "b@example.com", username: "bob", displayName: "B",
			password: %q, %s}) { sessionId } }`, password, more), "BAD_REQUEST")
		ann.fails(t, url, fmt.Sprintf(`mutation { updateUser(userId: %d, input: {displayName: "A", %s}) { id } }`, ann.id, more), "BAD_REQUEST")
	}
	ann.does(t, url, fmt.Sprintf(`{ user(id: %d) { id } }`, ann.id), nil)
	_, user, _ := strings.Cut(graph.SDL(), "\ntype User ")
	user, _, _ = strings.Cut(user, "\n}")
	if user == "" || regexp.MustCompile(`(?i)hash|password|secret`).MatchString(user) {
		t.Errorf("the type of users has %s", user)
	}
	if hint := regexp.MustCompile(`(?i)\w*(hint|question)\w*\s*[:(]`).FindString(graph.SDL()); hint != "" {
		t.Errorf("the schema has %q", hint)
	}
}

// The log of security says when, what, who, by whom, from where and in which request, in UTC whatever the zone of the reader.
func TestEntriesOfTheSecurityLog(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	url := servertest.StartOn(t, database, 1, required)[0].URL
	ann := registered(t, url, "ann")
	wrong := `{"query":"mutation { login(input: {email: \"ann\", password: \"a wrong guess\"}) { sessionId } }"}`
	sent(t, url, http.MethodPost, "/graphql", wrong, "Content-Type: application/json", "X-Request-Id: the-request")
	got := pgtest.Texts(t, pgtest.Connect(t, database), `SELECT concat_ws(' ', event, user_id, username, address, request_id,
		at BETWEEN now() - interval '1 hour' AND now(), pg_typeof(at)) FROM layercake.security_log WHERE event = 'login_failed'`)
	want := fmt.Sprintf("login_failed %d ann 127.0.0.1 the-request t timestamp with time zone", ann.id)
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if said := pgtest.Texts(t, pgtest.Connect(t, database), `SELECT l::text FROM layercake.security_log l`); strings.Contains(strings.Join(said, "\n"), "wrong guess") {
		t.Error("what was typed is in the log")
	}
}
