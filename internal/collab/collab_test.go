package collab_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/coder/websocket"
)

func TestPeopleSeeEachOtherOnAllReplicas(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 3, nil)
	project := newProject(t, replicas[0].URL)
	var people []*browser
	for n, r := range replicas {
		b := open(t, r.URL, project)
		b.join(fmt.Sprintf("user-%d", n), fmt.Sprintf("User %d", n), "project-global")
		people = append(people, b)
	}
	for _, b := range people {
		b.wait("three people", func() bool { return len(b.users) == 3 })
		b.wait("all in the document", func() bool { return b.last.DocumentID == "project-global" && len(b.last.ActiveUsers) == 3 })
	}
	rows(t, database, 3, "SELECT count(*) FROM presence")

	people[0].send(cursor("plan-dag-canvas", 12.5, -3))
	people[1].sees("user-0", "plan-dag-canvas", 12.5)
	people[2].sees("user-0", "plan-dag-canvas", 12.5)
	people[1].wait("the first to leave the document", func() bool { return len(inDocument(people[1])) == 2 })
	people[1].mu.Lock()
	if _, still := people[1].users["user-0"].Documents["project-global"]; still {
		t.Error("who switched is still in the old document")
	}
	people[1].mu.Unlock()

	people[2].send(`{"type":"leave_session","data":{}}`)
	people[0].wait("the third to leave", func() bool { return len(people[0].users) == 2 })
	people[2].join("user-2", "User 2", "")
	people[0].wait("the third to come back", func() bool { return len(people[0].users) == 3 })
	_ = people[1].socket.Close()
	people[0].wait("the second to close", func() bool { return len(people[0].users) == 2 })
	rows(t, database, 2, "SELECT count(*) FROM presence")
}

// What somebody drags is seen while they do, on all replicas, and nobody finds it in the table.
func TestDragsAreSeenOnAllReplicas(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	project := newProject(t, replicas[0].URL)
	mover, here, there := open(t, replicas[0].URL, project), open(t, replicas[0].URL, project), open(t, replicas[1].URL, project)
	for user, b := range map[string]*browser{"mover": mover, "here": here, "there": there} {
		b.join(user, user, "canvas")
		b.wait("the roster", func() bool { return len(b.frames) > 0 })
	}
	there.wait("the mover", func() bool { return there.users["mover"].IsOnline })
	move := func(x int, dragging string) {
		t.Helper()
		mover.send(fmt.Sprintf(`{"type":"cursor_update","data":{"documentId":"canvas","documentType":"canvas",`+
			`"position":{"type":"canvas","x":%d,"y":0},"timestamp":1%s}}`, x, dragging))
	}
	shows := func(b *browser, x int, want string) {
		t.Helper()
		b.wait(want, func() bool {
			return slices.ContainsFunc(b.frames, func(f client.Frame) bool {
				data := string(f.Data)
				return f.Type == "user_presence" && strings.Contains(data, fmt.Sprintf(`"x":%d,`, x)) && strings.Contains(data, `"dragging":`+want+`}`)
			})
		})
	}
	const drag = `{"nodeIds":["a","<é>"],"dx":12.5,"dy":-3}`
	move(1, `,"dragging":`+drag)
	for _, b := range []*browser{here, there} {
		shows(b, 1, `{"nodeIds":["a","\u003cé\u003e"],"dx":12.5,"dy":-3}`)
	}
	late := open(t, replicas[0].URL, project)
	late.join("late", "late", "")
	late.wait("the drag in the roster", func() bool {
		return len(late.frames) > 0 && strings.Contains(string(late.frames[0].Data), `"dragging":{"nodeIds":["a",`)
	})
	rows(t, database, 1, `SELECT count(*) FROM presence WHERE user_id = 'mover' AND position::text LIKE '%"x":1,%'
		AND presence::text NOT LIKE '%12.5%'`) // once it rests
	move(2, "")
	for _, b := range []*browser{here, there} {
		shows(b, 2, `null`)
	}
}

func inDocument(b *browser) []string {
	var ids []string
	for _, u := range b.last.ActiveUsers {
		ids = append(ids, u.UserID)
	}
	return ids
}

func TestCanvasesOfTheExistingClient(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	project := newProject(t, replicas[0].URL)
	const canvas = "plan-dag-canvas"
	frame := open(t, replicas[1].URL, project)
	frame.join("user-f", "Anonymous User", "project-global")
	var editors []*browser
	for n := range 3 {
		e := open(t, replicas[n%2].URL, project)
		e.join("anonymous", "Anonymous User", canvas)
		editors = append(editors, e)
	}
	rows(t, database, 4, "SELECT count(*) FROM presence")
	for _, e := range editors {
		e.wait("the others beside itself", func() bool { return len(e.users) == 4 })
	}
	frame.wait("one anonymous", func() bool { return len(frame.users) == 2 })

	editors[0].send(cursor(canvas, 100, 0))
	for _, e := range editors[1:] {
		e.wait("a cursor of somebody else", func() bool {
			for id, u := range e.users {
				if strings.HasPrefix(id, "anonymous#") && u.Documents[canvas].Position != nil && u.Documents[canvas].Position.X == 100 {
					return true
				}
			}
			return false
		})
	}
	frame.sees("anonymous", canvas, 100)
	for n, e := range editors {
		e.mu.Lock()
		if p := e.users["anonymous"].Documents[canvas].Position; p != nil {
			t.Errorf("editor %d is shown a cursor under its own id: %v", n, *p)
		}
		e.mu.Unlock()
	}

	editors[1].socket.CloseNow()
	editors[0].wait("one to go", func() bool { return len(editors[0].users) == 3 })
	editors[2].socket.CloseNow()
	editors[0].wait("another to go", func() bool { return len(editors[0].users) == 2 })
	frame.wait("anonymous to stay", func() bool { return frame.users["anonymous"].IsOnline })
	editors[0].socket.CloseNow()
	frame.wait("the last to go", func() bool { return len(frame.users) == 1 })
	if n := frame.wentOffline(); n != 1 {
		t.Errorf("anonymous went offline %d times, want once: with the last", n)
	}
}

func TestReconnectedCanvasJoinsByMovingItsCursor(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	project := newProject(t, replica.URL)
	ann, canvas := open(t, replica.URL, project), open(t, replica.URL, project)
	ann.join("ann", "Ann", "")
	canvas.send(cursor("plan-dag-canvas", 5, 5))
	ann.sees("anonymous", "plan-dag-canvas", 5)
	canvas.wait("its roster", func() bool { return len(canvas.users) == 2 })
	canvas.send(`{"type":"leave_session","data":{}}`)
	ann.wait("it to leave", func() bool { return len(ann.users) == 1 })
	want := "error: Error processing message: Must join session before updating cursor"
	if got := canvas.ask(cursor("plan-dag-canvas", 6, 6)); got != want {
		t.Errorf("after leaving: %q, want %q", got, want)
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	project := newProject(t, replica.URL)
	position := func(p string) string {
		return `{"type":"cursor_update","data":{"documentId":"d","documentType":"canvas","position":` + p + `,"timestamp":1}}`
	}
	joining := func(id, name string) string {
		return fmt.Sprintf(`{"type":"join_session","data":{"userId":%q,"userName":%q,"avatarColor":""}}`, id, name)
	}
	const (
		format = "error: Invalid message format"
		values = "error: Error processing message: Invalid cursor position values"
		empty  = "error: Error processing message: User ID and name cannot be empty"
	)
	cases := []struct{ name, text, want string }{
		{"ping", `{"type":"ping"}`, "pong: "},
		{"ping with more", `{"type":"ping","data":{"x":1},"more":[]}`, "pong: "},
		{"not JSON", `hello`, format},
		{"nothing", ``, format},
		{"null", `null`, format},
		{"a list", `[]`, format},
		{"half", `{"type":"ping"`, format},
		{"no UTF-8", "{\"type\":\"ping\",\"x\":\"\xff\"}", format},
		{"no type", `{"data":{}}`, format},
		{"unknown type", `{"type":"hello","data":{}}`, format},
		{"type of another case", `{"Type":"ping"}`, format},
		{"type of another type", `{"type":1}`, format},
		{"a server's type", `{"type":"bulk_presence","data":[]}`, format},
		{"join without data", `{"type":"join_session"}`, format},
		{"join without name", `{"type":"join_session","data":{"userId":"u","avatarColor":""}}`, format},
		{"join without colour", `{"type":"join_session","data":{"userId":"u","userName":"n"}}`, format},
		{"join with a number", `{"type":"join_session","data":{"userId":1,"userName":"n","avatarColor":""}}`, format},
		{"join in another case", `{"type":"join_session","data":{"userid":"u","userName":"n","avatarColor":""}}`, format},
		{"join as nobody", joining("  ", "n"), empty},
		{"join without a name", joining("u", "\t"), empty},
		{
			"join with a long id", joining(strings.Repeat("u", 201), "n"),
			"error: Error processing message: User ID is too long: 201 bytes, at most 200",
		},
		{
			"join with a long name", joining("u", strings.Repeat("ä", 20_000)),
			"error: Error processing message: User name is too long: 20000 characters, at most 100",
		},
		{
			"join as another's alias", joining("anonymous#1a2b3c4d", "n"),
			"error: Error processing message: User ID contains # at byte 9, which only the server adds to ids; leave it out",
		},
		{
			"join with a NUL", `{"type":"join_session","data":{"userId":"u","userName":"a\u0000b","avatarColor":""}}`,
			"error: Error processing message: User name may not contain the character U+0000",
		},
		{"leave without data", `{"type":"leave_session"}`, format},
		{
			"switch before joining", `{"type":"switch_document","data":{"documentId":"d","documentType":"canvas"}}`,
			"error: Error processing message: Must join session before switching documents",
		},
		{"switch to an unknown type", `{"type":"switch_document","data":{"documentId":"d","documentType":"film"}}`, format},
		{"switch without a type", `{"type":"switch_document","data":{"documentId":"d"}}`, format},
		{
			"switch to nothing", `{"type":"switch_document","data":{"documentId":"","documentType":"canvas"}}`,
			"error: Error processing message: Document ID cannot be empty",
		},
		{"cursor without position", `{"type":"cursor_update","data":{"documentId":"d","documentType":"canvas","timestamp":1}}`, format},
		{"cursor without time", strings.Replace(position(`{"type":"canvas","x":1,"y":1}`), `,"timestamp":1`, "", 1), format},
		{"cursor at half a time", strings.Replace(position(`{"type":"canvas","x":1,"y":1}`), `p":1}`, `p":1.5}`, 1), format},
		{"cursor without type", position(`{"x":1,"y":1}`), format},
		{"cursor of an unknown type", position(`{"type":"film","x":1,"y":1}`), format},
		{"cursor without y", position(`{"type":"canvas","x":1}`), format},
		{"cursor with text", position(`{"type":"canvas","x":"1","y":1}`), format},
		{"cursor with null", position(`{"type":"canvas","x":null,"y":1}`), format},
		{"cursor too far", position(`{"type":"canvas","x":1e999,"y":1}`), format},
		{"cursor without zoom", position(`{"type":"canvas","x":1,"y":1,"zoom":0}`), values},
		{"cursor in row -1", position(`{"type":"spreadsheet","row":-1,"column":0}`), values},
		{"cursor in row 1.0", position(`{"type":"spreadsheet","row":1.0,"column":0}`), format},
		{"cursor in row 2^31", position(`{"type":"spreadsheet","row":2147483648,"column":0}`), format},
		{"cursor of scale 0", position(`{"type":"3d","x":1,"y":1,"z":1,"scale":0}`), values},
		{"cursor turned by two", position(`{"type":"3d","x":1,"y":1,"z":1,"rotation":[1,2]}`), format},
		{"cursor turned by an object", position(`{"type":"3d","x":1,"y":1,"z":1,"rotation":{"x":1}}`), format},
		{"cursor before time", position(`{"type":"timeline","timestamp":-1}`), values},
		{"cursor on track -1", position(`{"type":"timeline","timestamp":1,"track":-1}`), values},
		{"cursor in line -1", position(`{"type":"code_editor","line":-1,"column":0}`), values},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, replica.URL, project)
			if got := b.ask(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := b.ask(`{"type":"ping"}`); got != "pong: " {
				t.Errorf("afterwards: %q", got)
			}
		})
	}
}

func TestPositionsOfAllTypes(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	project := newProject(t, replica.URL)
	watcher, mover := open(t, replica.URL, project), open(t, replica.URL, project)
	watcher.join("watcher", "W", "")
	mover.join("mover", "M", "")
	for n, c := range []struct{ sent, want string }{
		{`{"type":"canvas","x":1.5,"y":-2}`, `{"type":"canvas","x":1.5,"y":-2,"zoom":null}`},
		{`{"type":"spreadsheet","row":0,"column":2,"sheet":"s"}`, `{"type":"spreadsheet","row":0,"column":2,"sheet":"s"}`},
		{
			`{"type":"3d","x":1,"y":2,"z":3,"rotation":[1,2,3],"scale":0.5}`,
			`{"type":"3d","x":1,"y":2,"z":3,"rotation":[1,2,3],"scale":0.5,"viewport":null}`,
		},
		{`{"type":"timeline","timestamp":9007199254740993}`, `{"type":"timeline","timestamp":9007199254740993,"track":null}`},
		{`{"type":"code_editor","line":7,"column":0,"file":"a.go"}`, `{"type":"code_editor","line":7,"column":0,"file":"a.go"}`},
	} {
		mover.send(fmt.Sprintf(`{"type":"cursor_update","data":{"documentId":"d%d","documentType":"canvas","selectedNodeId":"n",`+
			`"position":%s,"timestamp":1}}`, n, c.sent))
		watcher.wait(c.want, func() bool {
			last := watcher.frames[len(watcher.frames)-1]
			return strings.Contains(string(last.Data), `"position":`+c.want+`,"selectedNodeId":"n"`)
		})
	}
}

func TestFloodIsDroppedAndTheSocketLives(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	b := open(t, replica.URL, newProject(t, replica.URL))
	const sent = 500
	began := time.Now()
	for range sent {
		b.send(`{"type":"ping"}`)
	}
	answers := func(kind, text string) int {
		return b.count(kind, func(f client.Frame) bool { return f.Message == text })
	}
	b.wait("an answer to each", func() bool {
		n := 0
		for _, f := range b.frames {
			if f.Type == "pong" || f.Message == "Rate limit exceeded" {
				n++
			}
		}
		return n == sent
	})
	// As many as may come in each second that began meanwhile, and no more.
	most := 20 * (1 + int(time.Since(began)/time.Second))
	if pongs := answers("pong", ""); pongs < 20 || pongs > most {
		t.Errorf("%d pongs, want 20 to %d; %d refusals", pongs, most, answers("error", "Rate limit exceeded"))
	}
	for got := ""; got != "pong: "; { // within a second
		got = b.ask(`{"type":"ping"}`)
	}
}

func TestFrameThatIsTooLargeEndsItsSocket(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	project := newProject(t, replica.URL)
	ann, b := open(t, replica.URL, project), open(t, replica.URL, project)
	ann.join("ann", "Ann", "")
	b.join("b", "B", "")
	ann.wait("b", func() bool { return len(ann.users) == 2 })
	_ = b.socket.Send(t.Context(), []byte(strings.Repeat("x", 10<<20))) // it may notice the end already
	if code, reason := b.closeStatus(); code != websocket.StatusMessageTooBig && code != 0 {
		t.Errorf("closed with %d %q, want 1009", code, reason)
	}
	ann.wait("b to go", func() bool { return len(ann.users) == 1 })
}

func TestSocketsThatAreNotOpened(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	project := newProject(t, replica.URL)
	for name, c := range map[string]struct {
		query, origin string
		want          int
	}{
		"no project":            {"", "", http.StatusBadRequest},
		"no number":             {"?project_id=one", "", http.StatusBadRequest},
		"too large":             {"?project_id=2147483648", "", http.StatusBadRequest},
		"a project that is not": {"?project_id=4711", "", http.StatusNotFound},
		"a page from elsewhere": {fmt.Sprintf("?project_id=%d", project), "https://evil.example", http.StatusForbidden},
		"a page of this server": {fmt.Sprintf("?project_id=%d&token=", project), replica.URL, http.StatusSwitchingProtocols},
		"a secret in a log":     {fmt.Sprintf("?project_id=%d&token=x", project), replica.URL, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if c.origin != "" {
				header.Set("Origin", c.origin)
			}
			socket, err := client.Dialer{Timeout: pgtest.Patience, Header: header}.Open(t.Context(), replica.URL, "/ws/collaboration"+c.query)
			status := http.StatusSwitchingProtocols
			var unopened *client.Unopened
			switch {
			case err == nil:
				socket.CloseNow()
			case errors.As(err, &unopened):
				status = unopened.Status
			default:
				t.Fatal(err)
			}
			if status != c.want {
				t.Errorf("%v, want %d", err, c.want)
			}
		})
	}
	answer, err := client.Get(t.Context(), replica.URL+"/ws/collaboration")
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != http.StatusUpgradeRequired {
		t.Errorf("without an upgrade: %d, want 426", answer.Status)
	}
}

func TestManyChangesBecomeARoster(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	project := newProject(t, replica.URL)
	watcher := open(t, replica.URL, project)
	watcher.join("watcher", "W", "")
	const many = 120 // more than are sent one by one
	people := make([]*browser, many)
	for n := range people {
		people[n] = open(t, replica.URL, project)
	}
	for n, b := range people {
		b.send(fmt.Sprintf(`{"type":"join_session","data":{"userId":"u%d","userName":"U","avatarColor":"","documentId":"d"}}`, n))
	}
	watcher.wait("everybody", func() bool { return len(watcher.users) == many+1 })
	for _, b := range people {
		b.wait("everybody", func() bool { return len(b.users) == many+1 })
		b.wait("everybody in the document", func() bool { return len(b.last.ActiveUsers) == many })
	}
}

func TestDrainSendsEverybodyElsewhereAndLeavesNobody(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	project := newProject(t, replicas[0].URL)
	stays := open(t, replicas[0].URL, project)
	stays.join("stays", "S", "")
	var people []*browser
	for n := range 30 {
		b := open(t, replicas[1].URL, project)
		b.join(fmt.Sprintf("u%d", n), "U", "")
		people = append(people, b)
	}
	stays.wait("everybody", func() bool { return len(stays.users) == 31 })
	replicas[1].Stop(t)
	for _, b := range people {
		if code, reason := b.closeStatus(); code != websocket.StatusServiceRestart || !strings.Contains(reason, "retryAfterMs") {
			t.Errorf("closed with %d %q, want 1012", code, reason)
		}
	}
	stays.wait("nobody else", func() bool { return len(stays.users) == 1 })
	rows(t, database, 1, "SELECT count(*) FROM presence")
	rows(t, database, 1, "SELECT count(*) FROM replicas")
}

// Nobody is in a project that does not exist, from the moment on that it does not, whichever replica they are on.
func TestDeletedProjectEndsItsSockets(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	project := newProject(t, replicas[0].URL)
	var browsers []*browser
	for n, replica := range replicas {
		b := open(t, replica.URL, project)
		b.join(fmt.Sprint("b", n), "B", "")
		browsers = append(browsers, b)
	}
	c := client.New(replicas[0].URL)
	defer c.Close()
	join := client.Request{
		Query:     `mutation ($p: Int!) { joinProjectCollaboration(projectId: $p, clientId: "guest") }`,
		Variables: map[string]any{"p": project},
	}
	if err := c.Do(t.Context(), join, nil); err != nil {
		t.Fatal(err)
	}
	rows(t, database, 3, "SELECT count(*) FROM layercake.who")
	if err := c.DeleteProject(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	if here := countRows(t, database, "SELECT count(*) FROM layercake.who"); here != 0 {
		t.Errorf("right after the deletion %d people are there", here)
	}
	for _, b := range browsers {
		if code, reason := b.closeStatus(); code != websocket.StatusNormalClosure || reason != "The project was deleted" {
			t.Errorf("closed with %d %q, want 1000", code, reason)
		}
	}
	rows(t, database, 3, "SELECT count(*) FROM layercake.presence_log WHERE reason = 'project deleted'")
	rows(t, database, 0, "SELECT count(*) FROM presence")
}
