package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// removalWriters are who writes while somebody is removed.
const removalWriters = 50

// sight is what a stream of the removed showed: a version, or a node whose version the history knows.
type sight struct {
	stream  string
	version int
	node    string
}

// sights collects what the removed are shown.
type sights struct {
	mu    sync.Mutex
	all   []sight
	each  map[string]int // by stream
	begun chan string    // the name of a stream, once it has shown something
}

func (s *sights) see(stream string, version int, node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sight{stream, version, node})
	if s.each[stream]++; s.each[stream] == 1 {
		s.begun <- stream
	}
}

// shown reads what a subscription showed.
func (s *sights) shown(stream string, payload json.RawMessage) error {
	type element struct{ ID string }
	var in struct {
		Data struct {
			PlanDagDeltaChanged, PlanEvents *struct{ Version int }
			PlanDagUpdated                  *struct{ Data struct{ Node *element } }
			CollaborationEvents             *struct {
				Data struct{ NodeEvent *struct{ Node element } }
			}
			ProposalsChanged *struct{ BaseVersion int }
			Executions       *struct{ NodeID string }
		}
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return err
	}
	switch d := in.Data; {
	case d.PlanDagDeltaChanged != nil:
		s.see(stream, d.PlanDagDeltaChanged.Version, "")
	case d.PlanEvents != nil:
		s.see(stream, d.PlanEvents.Version, "")
	case d.PlanDagUpdated != nil && d.PlanDagUpdated.Data.Node != nil:
		s.see(stream, 0, d.PlanDagUpdated.Data.Node.ID)
	case d.CollaborationEvents != nil && d.CollaborationEvents.Data.NodeEvent != nil:
		s.see(stream, 0, d.CollaborationEvents.Data.NodeEvent.Node.ID)
	case d.ProposalsChanged != nil:
		s.see(stream, d.ProposalsChanged.BaseVersion, "")
	case d.Executions != nil:
		s.see(stream, 0, d.Executions.NodeID)
	}
	return nil
}

// subscriptionsOf are all subscriptions of a project, by name.
func subscriptionsOf(project int) map[string]string {
	return map[string]string{
		"planDagDeltaChanged": fmt.Sprintf(`subscription { planDagDeltaChanged(projectId: %d) { version } }`, project),
		"planEvents":          fmt.Sprintf(`subscription { planEvents(projectId: %d) { version operations { id } } }`, project),
		"planDagUpdated":      fmt.Sprintf(`subscription { planDagUpdated(planId: "project_%d") { data { node { id } } } }`, project),
		"collaborationEvents": fmt.Sprintf(`subscription { collaborationEvents(planId: "project_%d") { data { nodeEvent { node { id } } } } }`, project),
		"proposalsChanged":    fmt.Sprintf(`subscription { proposalsChanged(projectId: %d) { baseVersion } }`, project),
		"executions":          fmt.Sprintf(`subscription { executions(projectId: %d) { nodeId } }`, project),
	}
}

// follows has a person follow everything of a project on a replica. It calls over with the end of each stream.
func (p person) follows(t *testing.T, url, at string, project int, s *sights, over func(stream, end string)) (streams int) {
	t.Helper()
	by := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + p.secret}}}
	plan, err := by.GraphQL(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plan.CloseNow)
	subscriptions := subscriptionsOf(project)
	for name, query := range subscriptions {
		if err := plan.Subscribe(t.Context(), at+" "+name, client.Request{Query: query}); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		for range subscriptions {
			for {
				m, err := plan.Next(t.Context())
				if err == nil && m.Type == "next" {
					err = s.shown(m.ID, m.Payload)
					if err == nil {
						continue
					}
				}
				over(m.ID, fmt.Sprint(m.Type, " ", string(m.Payload), " ", err))
				break
			}
		}
	}()
	people, err := by.Collaboration(t.Context(), url, project)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(people.CloseNow)
	if err := people.Send(t.Context(), client.Join{UserID: "bob", UserName: "Bob", AvatarColor: "#fff"}.Frame()); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			frame, err := people.Receive(t.Context())
			if closed := new(client.Closed); errors.As(err, &closed) {
				over(at+" collaboration", fmt.Sprint(int(closed.Code)))
				return
			}
			if err != nil {
				over(at+" collaboration", err.Error())
				return
			}
			if strings.Contains(string(frame), "bulk_presence") {
				s.see(at+" collaboration", 0, "")
			}
		}
	}()
	go p.listens(t, url, at+" listener", project, s, over)
	return len(subscriptions) + 2
}

// listens has a person listen to a plan as agents do.
func (p person) listens(t *testing.T, url, stream string, project int, s *sights, over func(stream, end string)) {
	const version = "2026-07-28"
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{
		"io.modelcontextprotocol/protocolVersion":%q,"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},
		"io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"resourceSubscriptions":["layercake://projects/%d/plan"]}}}`, version, project)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/mcp", strings.NewReader(body))
	if err != nil {
		over(stream, err.Error())
		return
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + p.secret, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": version, "Mcp-Method": "subscriptions/listen",
	} {
		r.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		over(stream, err.Error())
		return
	}
	defer response.Body.Close()
	said := ""
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		said = lines.Text()
		if strings.Contains(said, "notifications/resources/updated") {
			s.see(stream, 0, "")
		} else if strings.Contains(said, `"error"`) || strings.Contains(said, `"result"`) {
			break
		}
	}
	over(stream, said)
}

// Who is removed is shown nothing above the version of the removal, by no stream and on no replica, however many write meanwhile.
func TestRemovedSeeNothingMore(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { removeUnderLoad(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func removeUnderLoad(t *testing.T, random *rand.Rand) {
	replicas := servertest.StartOn(t, pgtest.New(t), 3, required)
	urls := servertest.URLs(replicas)
	ann, bob := registered(t, urls[0], "ann"), registered(t, urls[1], "bob")
	project := ann.created(t, urls[0])
	var data struct{ InviteCollaborator struct{ ID int } }
	ann.does(t, urls[0], fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob", role: "viewer"}) { id } }`, project), &data)
	invitation := data.InviteCollaborator.ID
	bob.does(t, urls[1], fmt.Sprintf(`mutation { acceptCollaboration(collaborationId: %d) { id } }`, invitation), nil)

	// The owner follows, too: the witness of what has which version.
	witness, err := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + ann.secret}}}.GraphQL(t.Context(), urls[0])
	if err != nil {
		t.Fatal(err)
	}
	defer witness.CloseNow()
	var now struct{ GetPlanDag struct{ Cursor string } }
	ann.does(t, urls[0], fmt.Sprintf(`{ getPlanDag(projectId: %d) { cursor } }`, project), &now)
	events := fmt.Sprintf(`subscription { planEvents(projectId: %d, after: %q) { version operations { kind id } } }`, project, now.GetPlanDag.Cursor)
	if err := witness.Subscribe(t.Context(), "w", client.Request{Query: events}); err != nil {
		t.Fatal(err)
	}

	s := &sights{each: map[string]int{}, begun: make(chan string, 100)}
	ends := make(chan sight, 100)
	streams := 0
	for i, url := range urls {
		streams += bob.follows(t, url, fmt.Sprint("replica ", i), project, s, func(stream, end string) { ends <- sight{stream: stream, node: end} })
	}
	writing, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	var written atomic.Int64
	for n := range removalWriters {
		pause := random.IntN(5)
		writers.Go(func() { ann.writes(writing, t, urls[(n+pause)%len(urls)], project, n, &written) })
	}
	// Everything that shows changes has shown some, so that its end is that of something alive.
	for waiting := streams; waiting > 0; waiting-- {
		select {
		case <-s.begun:
		case <-t.Context().Done():
			t.Fatal("not everything began")
		}
	}
	for until := written.Load() + int64(random.IntN(100)); written.Load() < until; {
		ann.does(t, urls[0], `{ me { id } }`, nil)
	}
	ann.does(t, urls[random.IntN(len(urls))], fmt.Sprintf(`mutation { removeCollaborator(collaborationId: %d) }`, invitation), nil)
	for range streams {
		switch end := <-ends; {
		case strings.HasSuffix(end.stream, "collaboration") && end.node == "4403":
		case strings.HasSuffix(end.stream, "listener"):
		case !strings.Contains(end.node, "FORBIDDEN"):
			t.Errorf("%s ended with %q", end.stream, end.node)
		}
	}
	stop()
	writers.Wait()
	var last struct{ GetPlanDag struct{ Version string } }
	ann.does(t, urls[0], fmt.Sprintf(`{ getPlanDag(projectId: %d) { version } }`, project), &last)

	removal, versions := 0, map[string]int{}
	for version := 0; fmt.Sprint(version) != last.GetPlanDag.Version; {
		var m struct {
			Data struct {
				PlanEvents struct {
					Version    int
					Operations []struct{ Kind, ID string }
				}
			}
		}
		if err := json.Unmarshal(next(t, witness, "next"), &m); err != nil {
			t.Fatal(err)
		}
		version = m.Data.PlanEvents.Version
		for _, op := range m.Data.PlanEvents.Operations {
			switch op.Kind {
			case "COLLABORATOR_REMOVED":
				removal = version
			case "NODE_ADDED":
				versions[op.ID] = version
			}
		}
	}
	if removal == 0 {
		t.Fatal("the witness saw no removal")
	}
	late := slices.DeleteFunc(s.all, func(seen sight) bool { return max(seen.version, versions[seen.node]) < removal })
	t.Logf("%d sights by %d streams, the removal is version %d of %s", len(s.all), streams, removal, last.GetPlanDag.Version)
	if len(late) > 0 {
		t.Errorf("%d sights from version %d on, such as %+v", len(late), removal, late[0])
	}
}

// writes adds nodes until ctx ends. Some it has built, and some it proposes.
func (p person) writes(ctx context.Context, t *testing.T, url string, project, writer int, written *atomic.Int64) {
	c := client.New(url)
	defer c.Close()
	post := func(path, body string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+p.secret)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || strings.Contains(string(text), `"errors"`)) {
			err = fmt.Errorf("%d %s", response.StatusCode, text)
		}
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%d-%d", writer, n)
		query, _ := json.Marshal(client.Request{Query: fmt.Sprintf(`mutation { addPlanDagNode(projectId: %d, node: {id: %q, nodeType: GraphNode,
			position: {x: 0, y: 0}, metadata: {label: ""}, config: "{}"}) { id } }`, project, id)}) //nolint:errchkjson // texts
		err := post("/graphql", string(query))
		if err == nil && writer == 0 {
			err = post("/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"edit_plan","arguments":{"project_id":%d,
				"mode":"propose","operations":[{"op":"add_node","node_type":"GraphNode","label":"Proposed"}]}}}`, project))
		}
		if err == nil && writer == 1 {
			build, _ := json.Marshal(client.Request{Query: fmt.Sprintf(`mutation { executeNode(projectId: %d, nodeId: %q) { success } }`, project, id)}) //nolint:errchkjson // texts
			_ = post("/graphql", string(build))                                                                                                          // a node without inputs cannot be built: its state says so
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
		written.Add(1)
	}
}
