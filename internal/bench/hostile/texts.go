package hostile

import (
	"context"
	"fmt"
	"strings"

	"layercake/internal/bench"
	"layercake/internal/client"
)

// Texts that look like others, and answers that say too much.
var textAttacks = []attack{
	{
		name: "texts-deceptive", threat: "C13", alone: true,
		summary: "names, labels and ids with control characters, direction overrides and invisible tags",
		do:      (*assault).deceive,
	},
	{
		name: "texts-reflected", threat: "C13", alone: true,
		summary: "wrong requests of 20 kB, whose answers must be short and say nothing of the server's language",
		do:      (*assault).reflect,
	},
}

// deceptive are texts of which none may stand in a name or a label. The last characters are a tag, outside of the basic plane.
var deceptive = []string{
	"bell\x07", "esc\x1b[31m", "right\u202Eleft", "isolate\u2066x", "bom\uFEFFx", "line\u2028x", "paragraph\u2029x", "tag\U000E0041x",
}

// harmless are texts that look alike, and have to stay: a family, a heart in colour, Persian with a joiner.
var harmless = []string{"\U0001F468\u200D\U0001F469\u200D\U0001F467", "\u2764\uFE0F", "\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645"}

func (a *assault) deceive(ctx context.Context) error {
	c := a.http()
	create := `mutation($name: String!) { createProject(input: {name: $name}) { id } }`
	add := `mutation($id: Int!, $node: PlanDagNodeInput!) { addPlanDagNode(projectId: $id, node: $node) { id } }`
	honest := client.New(a.urls[0])
	defer honest.Close()
	project, err := honest.CreateProject(ctx, "a place for texts")
	if err != nil {
		return err
	}
	label := func(n int, text string) (reply, error) {
		return a.post(ctx, c, n, document(add, map[string]any{"id": project, "node": graphNode(fmt.Sprint("t", n), text, "{}")}))
	}
	for n, text := range deceptive {
		if got, err := label(n, text); err == nil && got.code == "" {
			a.wrong("a label was taken: %+q", text)
		}
		got, err := a.post(ctx, c, n, document(create, map[string]any{"name": text}))
		if err == nil && got.code == "" {
			a.wrong("a name of a project was taken: %+q", text)
		}
		a.joinAs(ctx, project, "deceiver", text)
	}
	a.joinAs(ctx, project, "honest-1#2", "the second tab of somebody else")
	for n, text := range harmless {
		if got, err := label(100+n, text); err == nil && got.code != "" {
			a.wrong("an honest label was refused: %+q: %s", text, got.text)
		}
	}
	return nil
}

// joinAs joins by a socket under an id or a name that has to be refused.
func (a *assault) joinAs(ctx context.Context, project int, id, name string) {
	socket, err := dialer.Collaboration(ctx, a.urls[0], project)
	if err != nil {
		a.sent(openFailure(err))
		return
	}
	defer socket.CloseNow()
	a.sent("joined")
	ctx, cancel := context.WithTimeout(ctx, socketTime)
	defer cancel()
	if socket.Send(ctx, client.Join{UserID: id, UserName: name, AvatarColor: "#000000"}.Frame()) != nil {
		return
	}
	frame, err := socket.Receive(ctx)
	if err == nil && strings.Contains(string(frame), "bulk_presence") {
		a.wrong("a person was taken: %+q, called %+q", id, name)
	}
}

const (
	reflectedBytes = 20_000
	maxReflected   = 2_000 // bytes of an answer to a wrong request
)

// inside are texts by which errors of Go, of its libraries and of PostgreSQL are known.
var inside = []string{
	"map[", "json:", "strconv.", "runtime error", "unmarshal", "goroutine", "SQLSTATE", "pgconn", "interface {}", "0xc0", ".go:",
}

func (a *assault) reflect(ctx context.Context) error {
	c := a.http()
	long := strings.Repeat("y", reflectedBytes)
	project := func(v any) []byte {
		return document("query($v: Int!) { project(id: $v) { id } }", map[string]any{"v": v})
	}
	node := func(v any) []byte {
		return document("mutation($v: PlanDagNodeInput!) { addPlanDagNode(projectId: 1, node: $v) { id } }", map[string]any{"v": v})
	}
	nested := map[string]any{"a": 1}
	bodies := [][]byte{
		document("{ "+long+" }", nil), document("{ projects { "+long+" } }", nil), document(long, nil),
		document(`{ project(id: "`+long+`") { id } }`, nil), document("query($v: "+long+") { projects { id } }", nil),
		document("{ projects @"+long+" { id } }", nil),
		project(long), project(map[string]any{long: 1}), project(1e300), project([]any{nested}),
		node(map[string]any{long: nested}), node(map[string]any{"id": nested}), node([]any{map[string]any{"nodeType": long}}), node(long),
		[]byte(`{"query":"{ projects { id } }","variables":"` + long + `"}`), []byte(`{"query":{"` + long + `":1}}`),
		[]byte(`{"query":`), []byte("\xff\xfe" + long),
		document("subscription($v: String) { planEvents(projectId: 1, after: $v) { version } }", map[string]any{"v": long}),
	}
	for n, body := range bodies {
		got, err := a.post(ctx, c, n, body)
		if err != nil {
			continue // it is counted
		}
		if got.size > maxReflected {
			a.wrong("a wrong request of %d bytes was answered with %d: %.100s", len(body), got.size, got.text)
		}
		for _, text := range inside {
			if strings.Contains(string(got.text), text) {
				a.wrong("an answer says %q: %.300s", text, got.text)
			}
		}
		_ = bench.Wait(ctx, framePause) // each answer is looked at whatever becomes of ctx
	}
	return nil
}
