//go:build former

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"layercake/internal/child"
	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// logText is what a process wrote.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startFormer runs a replica of the release that knows no accounts, whose program LAYERCAKE_FORMER names (make former builds it).
func startFormer(t *testing.T, database string) (url string, log *logText) {
	t.Helper()
	address := servertest.Address(t)
	cmd := exec.Command(os.Getenv("LAYERCAKE_FORMER"), "serve")
	cmd.Env = append(os.Environ(), "LAYERCAKE_DATABASE_URL="+database, "LAYERCAKE_HTTP_ADDR="+address, "LAYERCAKE_ADMIN_ADDR=",
		"LAYERCAKE_POOL_MAX=10", "LAYERCAKE_DRAIN=0s", "LAYERCAKE_LOG_LEVEL=debug")
	log = &logText{}
	cmd.Stdout, cmd.Stderr = log, log
	ended := make(chan struct{})
	if err := child.Start(cmd, syscall.SIGKILL, func(error) { close(ended) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	url = "http://" + address
	until(t, "the former release", func() bool {
		select {
		case <-ended:
			t.Fatalf("it ended:\n%s", log)
		default:
		}
		answer, err := client.Get(t.Context(), url+"/health/ready")
		return err == nil && answer.Status == http.StatusOK
	})
	return url, log
}

// versions follows the plan of a project with a credential, and sends the versions.
func versions(t *testing.T, url, secret string, project int) <-chan int {
	t.Helper()
	s, err := client.Dialer{Timeout: pgtest.Patience, Header: client.Signed(secret)}.GraphQL(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseNow)
	out := make(chan int, 1000)
	q := client.Request{Query: fmt.Sprintf(`subscription { planEvents(projectId: %d) { version operations { kind id before after } } }`, project)}
	if err := s.Subscribe(t.Context(), "1", q); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(out)
		for {
			m, err := s.Next(t.Context())
			if err != nil || m.Type != "next" {
				return
			}
			var in struct {
				Data struct{ PlanEvents struct{ Version int } }
			}
			if json.Unmarshal(m.Payload, &in) == nil {
				out <- in.Data.PlanEvents.Version
			}
		}
	}()
	return out
}

// A replica of the release without accounts goes on beside one where everybody signs in, which has brought the schema up to date under it:
// watchers at either see every version, those of collaborators included, lines about what ended do it no harm, and the health check says
// that it lets everybody in.
func TestBesideTheReleaseWithoutAccounts(t *testing.T) {
	t.Parallel()
	database, _ := emptyDatabase(t)
	former, log := startFormer(t, database)
	now := servertest.StartOn(t, database, 1, required)[0].URL
	ann, bob := registered(t, now, "ann"), registered(t, now, "bob")
	project := ann.created(t, now)
	there, here := versions(t, former, "", project), versions(t, now, ann.secret, project)
	anybody := person{}
	add := func(p person, url, id string) {
		p.does(t, url, fmt.Sprintf(`mutation { addPlanDagNode(projectId: %d, node: {id: %q, nodeType: GraphNode, position: {x: 0, y: 0},
			metadata: {label: ""}, config: "{}"}) { id } }`, project, id), nil)
	}
	first := 0
	until(t, "both watchers", func() bool { // a subscription begins a moment after it was asked for
		add(ann, now, fmt.Sprint("n", first))
		first++
		return len(there) > 0 && len(here) > 0
	})
	var data struct{ InviteCollaborator struct{ ID int } }
	ann.does(t, now, fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob", role: "viewer"}) { id } }`, project), &data)
	id := data.InviteCollaborator.ID
	bob.does(t, now, fmt.Sprintf(`mutation { acceptCollaboration(collaborationId: %d) { id } }`, id), nil)
	ann.does(t, now, fmt.Sprintf(`mutation { updateCollaboratorRole(input: {collaboratorId: %d, role: "editor"}) { id } }`, id), nil)
	add(anybody, former, "by the former release")
	add(bob, now, "by an editor")
	removed := versions(t, now, bob.secret, project)
	ann.does(t, now, fmt.Sprintf(`mutation { removeCollaborator(collaborationId: %d) }`, id), nil)
	for range removed { // until the end
	}
	signedOut, _ := greeted(t, now, fmt.Sprintf(`{"token":%q}`, bob.secret))
	pgtest.Exec(t, pgtest.Connect(t, database), `SELECT layercake.end_sessions('bob')`)
	if code := servertest.CloseCode(t, signedOut.Socket); code != 4401 {
		t.Errorf("the socket of an ended session closed with %d", code)
	}
	add(anybody, former, "the last")

	var head struct{ GetPlanDag struct{ Version string } }
	var end int
	ann.does(t, now, fmt.Sprintf(`{ getPlanDag(projectId: %d) { version } }`, project), &head)
	if _, err := fmt.Sscan(head.GetPlanDag.Version, &end); err != nil {
		t.Fatal(err)
	}
	for name, watcher := range map[string]<-chan int{"the former release": there, "this release": here} {
		var seen []int
		for len(seen) == 0 || seen[len(seen)-1] < end {
			version, more := <-watcher
			if !more {
				t.Fatalf("the watcher at %s ended after %v", name, seen)
			}
			seen = append(seen, version)
		}
		if i := slices.IndexFunc(seen, func(v int) bool { return v != seen[0]+slices.Index(seen, v) }); i >= 0 {
			t.Errorf("the watcher at %s saw %v, up to %d", name, seen, end)
		}
	}
	access := pgtest.Texts(t, pgtest.Connect(t, database), `SELECT status || ' ' || detail FROM layercake.check_health() WHERE "check" = 'access'`)
	if len(access) != 1 || !strings.HasPrefix(access[0], "fail ") || !strings.Contains(access[0], "knows no accounts") {
		t.Errorf("the check of access says %q", access)
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") {
			t.Errorf("the former release says %s", line)
		}
	}
}
