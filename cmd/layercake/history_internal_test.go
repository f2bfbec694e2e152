package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"

	"github.com/alecthomas/kong"
)

// told serves what is no replica but gives these answers, and hands over the variables of each request.
func told(t *testing.T, answers ...string) (url string, asked <-chan map[string]any) {
	t.Helper()
	variables := make(chan map[string]any, len(answers))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q client.Request
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		variables <- q.Variables
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answers[0])
		answers = answers[1:]
	}))
	t.Cleanup(server.Close)
	return server.URL, variables
}

// historyLine parses a command line of history or undo and returns what it prints.
func historyLine(t *testing.T, url string, args ...string) (string, error) {
	t.Helper()
	var c struct {
		History historyCommand `cmd:""`
		Undo    undoCommand    `cmd:""`
	}
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(append(args, "--url", url))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if k.Command() == "undo <project> <version>" {
		err = c.Undo.undo(t.Context(), &out)
	} else {
		err = c.History.show(t.Context(), &out)
	}
	return out.String(), err
}

const (
	moved = `{"version":9,"timestamp":"2026-03-01T10:00:00.5+00:00","actorId":"u1","actorName":"Ann","actorKind":"anonymous","via":"graphql",
		"note":null,"clientId":"tab","summary":"Moved node a","undoes":null,"undoneBy":12}`
	renamed = `{"version":7,"timestamp":"2026-03-01T09:00:00+00:00","actorId":"u2","actorName":"B\u001b[2Job","actorKind":"user","via":"mcp",
		"note":"two\nlines","summary":"Renamed node a","undoes":6,"undoneBy":null}`
)

func TestHistoryIsReadPageByPage(t *testing.T) {
	t.Parallel()
	url, asked := told(t,
		`{"data":{"planHistory":{"more":true,"oldest":5,"changes":[`+moved+`]}}}`,
		`{"data":{"planHistory":{"more":false,"oldest":5,"changes":[`+renamed+`]}}}`)
	local := func(hour int) string {
		return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC).Local().Format(time.DateTime)
	}
	want := `VERSION  TIME                 WHO      VIA      WHAT
9        ` + local(10) + `  Ann tab  graphql  Moved node a (undone by 12)
7        ` + local(9) + `  B [2Job  mcp      Renamed node a (undoes 6) - two lines
What was done before version 5 is not kept any more.
`
	if out, err := historyLine(t, url, "history", "3", "--limit", "150", "--element", "a", "--all"); err != nil || out != want {
		t.Errorf("%v, %s", err, out)
	}
	first, second := <-asked, <-asked
	if first["project"] != 3.0 || first["limit"] != 100.0 || first["element"] != "a" || first["all"] != true || first["before"] != nil {
		t.Errorf("first it asked for %v", first)
	}
	if second["before"] != 9.0 || second["limit"] != 100.0 {
		t.Errorf("then it asked for %v", second)
	}
}

func TestHistoryEnds(t *testing.T) {
	t.Parallel()
	url, _ := told(t,
		`{"data":{"planHistory":{"more":true,"oldest":5,"changes":[`+moved+`]}}}`,
		`{"data":{"planHistory":{"more":false,"oldest":0,"changes":[]}}}`,
		`{"data":{"planHistory":{"more":true,"oldest":0,"changes":[`+renamed+`]}}}`,
		`{"errors":[{"message":"Project not found","extensions":{"code":"NOT_FOUND"}}],"data":null}`)
	if out, err := historyLine(t, url, "history", "3", "--limit", "1"); err != nil || strings.Contains(out, "not kept") {
		t.Errorf("the first: %v, %s", err, out)
	}
	if out, err := historyLine(t, url, "history", "3"); err != nil || out != "no changes\n" {
		t.Errorf("of nothing: %v, %s", err, out)
	}
	out, err := historyLine(t, url, "history", "3", "--json", "--limit", "1", "--before", "8")
	var change client.Change
	if err != nil || strings.Count(out, "\n") != 1 || json.Unmarshal([]byte(out), &change) != nil || change.Version != 7 || *change.Note != "two\nlines" {
		t.Errorf("as JSON: %v, %s", err, out)
	}
	if _, err := historyLine(t, url, "history", "3"); err == nil || err.Error() != "NOT_FOUND: Project not found" {
		t.Errorf("of no project: %v", err)
	}
	if _, err := historyLine(t, url, "history", "3", "--limit", "0"); err == nil {
		t.Error("no changes can be asked for")
	}
}

func TestUndoSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	const conflict = `[{"kind":"NODE_UPDATED","id":"a","part":"position","reason":"Bob moved it since",
		"expected":{"x":1,"y":2},"current":null,"versions":[10,11],"actorNames":["Bob","Eve"]}]`
	const shown = `  node a, position: Bob moved it since
    it was {"x":1,"y":2}, it is not there
    touched since by Bob, Eve (version 10, 11)
`
	undone := func(change, conflicts, notes string) string {
		return `{"data":{"undone":{"version":12,"change":` + change + `,"conflicts":` + conflicts + `,"notes":` + notes + `}}}`
	}
	for name, c := range map[string]struct {
		args, answer, want string
		err                error
	}{
		"done":             {"", undone(moved, "[]", `["A file is gone"]`), "Version 12: Moved node a\nNote: A file is gone\n", nil},
		"not yet":          {"--dry-run", undone(moved, "[]", "[]"), "It would be: Moved node a\n", nil},
		"nothing to do":    {"", undone("null", "[]", "[]"), "Nothing was left to do; the plan is at version 12.\n", nil},
		"in part":          {"--on-conflict skip", undone("null", conflict, "[]"), "Nothing was left to do; the plan is at version 12.\nSkipped:\n" + shown, nil},
		"all":              {"--on-conflict overwrite", undone(moved, conflict, "[]"), "Version 12: Moved node a\nOverwritten:\n" + shown, nil},
		"not all as it is": {"--redo", `{"data":null,"errors":[{"message":"Others changed it","extensions":{"code":"CONFLICT","conflicts":` + conflict + `}}]}`, "Others changed it\n" + shown, errConflicts},
	} {
		url, asked := told(t, c.answer)
		out, err := historyLine(t, url, append([]string{"undo", "3", "9", "--note", "why"}, strings.Fields(c.args)...)...)
		if err != c.err || out != c.want { //nolint:errorlint // it is not wrapped
			t.Errorf("%s: %v, %s", name, err, out)
		}
		if q := <-asked; q["project"] != 3.0 || q["version"] != 9.0 || q["note"] != "why" || q["op"] == "" {
			t.Errorf("%s: it asked for %v", name, q)
		}
	}
	url, _ := told(t, `{"data":null,"errors":[{"message":"It is undone","extensions":{"code":"CONFLICT","undoneBy":12}}]}`)
	if out, err := historyLine(t, url, "undo", "3", "9"); err == nil || out != "" || err.Error() != "CONFLICT: It is undone" {
		t.Errorf("what is undone: %v, %s", err, out)
	}
}

// Names that older releases stored may have characters that turn what follows them round.
func TestTextsOfOthersOnlyShow(t *testing.T) {
	t.Parallel()
	if got, want := oneLine("esc\x1b[31m bell\a line\nright\u202Eleft\u2066x tag\U000E0041"), "esc [31m bell  line right left x tag "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if family := "\U0001F468\u200D\U0001F469"; oneLine(family) != family {
		t.Errorf("%q, want it as it is", oneLine(family))
	}
}
