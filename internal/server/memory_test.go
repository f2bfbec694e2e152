package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

const megabyte = 1 << 20

// mostMemory is what a replica may take under each attack on its memory.
const mostMemory = 512 * megabyte

// startSmall runs a replica in a process with little memory.
func startSmall(t *testing.T) *servertest.Process {
	t.Helper()
	return servertest.StartProcess(t, pgtest.New(t), "GOMEMLIMIT=400MiB")
}

// lives fails unless a replica answers, and never had more memory than it may.
func lives(t *testing.T, replica *servertest.Process) {
	t.Helper()
	if answer := ask(t, replica.URL, `{ __typename }`); answer.Status != http.StatusOK || answer.Code() != "" {
		t.Errorf("afterwards: %d %s", answer.Status, answer.Text)
	}
	peak := replica.PeakMemory()
	t.Logf("at most %d MB", peak/megabyte)
	if peak > mostMemory && !raced() {
		t.Errorf("the replica had %d MB, may have %d", peak/megabyte, mostMemory/megabyte)
	}
}

// raced reports whether the race detector is on: it takes several times the memory.
func raced() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// filled returns a body of just under a megabyte that is a prefix, a part again and again, and a suffix.
func filled(prefix, part, suffix string) string {
	return prefix + strings.Repeat(part, (megabyte-len(prefix)-len(suffix)-1)/len(part)) + suffix
}

// Fifty bodies of a megabyte at once, of the kinds that take the most memory for each of their bytes, are answered, or their senders told
// to come back.
func TestManyLargeBodiesInLittleMemory(t *testing.T) { //nolint:paralleltest // the load of others would be that of the attack
	replica := startSmall(t)
	for name, body := range map[string]string{
		"variables":  filled(`{"query":"{__typename}","variables":{"x":[`, `{"":0},`, `0]}}`),
		"extensions": filled(`{"query":"{__typename}","extensions":{"x":[`, `{"":0},`, `0]}}`),
		"declared":   `{"query":"query($x: Boolean) { __typename }","variables":{"x":[` + strings.Repeat(`{"":0},`, 45_000) + `0]}}`,
		"unknown":    filled(`{"query":"{__typename}","x":[`, `[],`, `0]}`),
	} {
		statuses := map[int]int{}
		var mu sync.Mutex
		var senders sync.WaitGroup
		for range 50 {
			senders.Go(func() {
				c := client.New(replica.URL)
				defer c.Close()
				answer, err := c.Post(t.Context(), strings.NewReader(body), nil)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if answer.Status != http.StatusOK && answer.Code() != "UNAVAILABLE" {
					t.Errorf("%s: %d %.200s", name, answer.Status, answer.Text)
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[answer.Status]++
			})
		}
		senders.Wait()
		t.Logf("%s: %v", name, statuses)
		if statuses[http.StatusOK] == 0 {
			t.Errorf("%s: none was answered", name)
		}
		lives(t, replica)
	}
}

// Clients that ask for large answers and never read them cost what the budget is, and no more.
func TestManyUnreadAnswersInLittleMemory(t *testing.T) { //nolint:paralleltest // the load of others would be that of the attack
	replica := startSmall(t)
	newProject(t, replica.URL)
	config := fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", 90_000))
	for n := range 100 {
		answer := do(t, replica.URL, `mutation($c: String!, $id: String!) { addPlanDagNode(projectId: 1, node: {id: $id, nodeType: GraphNode,
			position: {x: 0, y: 0}, metadata: {label: "x"}, config: $c}) { id } }`, map[string]any{"c": config, "id": fmt.Sprint("n", n)})
		if answer.Code() != "" {
			t.Fatal(answer.Errors)
		}
	}
	const question = `{"query":"{ getPlanDag(projectId: 1) { nodes { id config } } }"}`
	request := fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(question), question)
	statuses := map[int]int{}
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range 100 {
		c, err := net.Dial("tcp", strings.TrimPrefix(replica.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.(*net.TCPConn).SetReadBuffer(1); err != nil {
			t.Fatal(err)
		}
		readers.Go(func() {
			if _, err := io.WriteString(c, request); err != nil {
				t.Error(err)
				return
			}
			answer, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil) //nolint:bodyclose // nobody reads it
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[answer.StatusCode]++
		})
	}
	readers.Wait()
	t.Logf("%v", statuses)
	if statuses[http.StatusOK]+statuses[http.StatusServiceUnavailable] != 100 || statuses[http.StatusOK] == 0 {
		t.Errorf("statuses %v", statuses)
	}
	lives(t, replica)
}

// A header may have 64 kB. Larger ones are refused before anything reads them.
func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for size, want := range map[int]int{60 << 10: http.StatusOK, 80 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		if status := get(t, url+"/health/live", "X-Filler", strings.Repeat("x", size)); status != want {
			t.Errorf("%d bytes: status %d, want %d", size, status, want)
		}
	}
}

// do sends a document with variables.
func do(t *testing.T, replica, document string, variables map[string]any) *client.Answer {
	t.Helper()
	body, err := json.Marshal(client.Request{Query: document, Variables: variables})
	if err != nil {
		t.Fatal(err)
	}
	c := client.New(replica)
	defer c.Close()
	answer, err := c.Post(t.Context(), bytes.NewReader(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
