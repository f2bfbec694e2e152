package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"
	"layercake/internal/client"
)

const (
	honestRate   = 40                     // changes a second in all: one each 50 ms at each replica
	mutators     = 2 * replicas           // two at each replica, so that one that waits is not all
	movePause    = 200 * time.Millisecond // pause between two moves of a cursor
	healthPause  = 200 * time.Millisecond
	healthTime   = 2 * time.Second // limit for the answer to a probe, as balancers have it
	settleTime   = 10 * time.Second
	socketTime   = 5 * time.Second
	maxSentences = 5 // of each kind in a row
)

// forged stands in everything that attackers make up in the name of others: whoever is shown it was lied to.
const forged = "forged"

// honest is the load beside an attack: changes at each replica, watchers of every kind, a person at each replica, and witnesses who
// read whatever they are sent.
type honest struct {
	storm   *bench.RunningStorm
	urls    []string
	people  int // project in which they see each other
	running sync.WaitGroup
	end     context.CancelFunc // ends all but the changes
	enough  context.CancelFunc // ends the changes

	mu        sync.Mutex
	leaving   bool
	shown     []string // what was shown that is not true, in words
	cut       []string // sockets that ended, and what was refused
	unhealthy int64
	health    []string
}

// meet starts the honest load, all but its changes.
func meet(ctx context.Context, d *deployment.Deployment, seed uint64) (*honest, error) {
	storm, err := bench.StartStorm(ctx, bench.Config{
		URLs: d.URLs(), Mutators: mutators, Duration: time.Hour, Projects: 1, Subscribers: 2, Deltas: 1, Rate: honestRate,
		Seed: seed, Settle: settleTime,
	})
	if err != nil {
		return nil, err
	}
	h := &honest{storm: storm, urls: d.URLs(), enough: func() {}}
	following, end := context.WithCancel(context.WithoutCancel(ctx))
	h.end = end
	if h.people, err = storm.CreateProject(ctx, "people beside an attack"); err != nil {
		h.leave(ctx)
		return nil, err
	}
	for n := range h.urls {
		if err := h.come(ctx, following, n); err != nil {
			h.leave(ctx)
			return nil, err
		}
		h.running.Go(func() { h.probe(following, n) })
	}
	return h, nil
}

// come opens the sockets of one replica: that of a person, and those of witnesses to the plan and to the people.
func (h *honest) come(ctx, following context.Context, replica int) error {
	dialer := client.Dialer{Timeout: socketTime}
	person, err := dialer.Collaboration(ctx, h.urls[replica], h.people)
	if err != nil {
		return err
	}
	join := client.Join{UserID: personID(replica), UserName: personID(replica), AvatarColor: "#3b82f6", DocumentID: canvas}
	if err := person.Send(ctx, join.Frame()); err != nil {
		person.CloseNow()
		return err
	}
	h.running.Go(func() { h.move(following, person, replica) })
	h.running.Go(func() {
		h.listen(following, fmt.Sprintf("the person at replica %d", replica+1), person.Receive)
		person.CloseNow()
	})
	witness, err := dialer.GraphQL(ctx, h.urls[replica])
	if err != nil {
		return err
	}
	plan := h.storm.Projects()[0]
	for id, q := range map[string]client.Request{
		"plan":   {Query: fmt.Sprintf("subscription { planEvents(projectId: %d) { snapshot operations { kind id before after } } }", plan)},
		"people": {Query: fmt.Sprintf(peopleQuery, h.people)},
		"steps":  {Query: fmt.Sprintf(peopleQuery, plan)},
	} {
		if err := witness.Subscribe(ctx, id, q); err != nil {
			witness.CloseNow()
			return err
		}
	}
	h.running.Go(func() {
		h.listen(following, fmt.Sprintf("a witness at replica %d", replica+1), func(ctx context.Context) ([]byte, error) {
			m, err := witness.Next(ctx)
			if m.Type == "error" || m.Type == "complete" {
				h.note(&h.cut, "a witness at replica %d was told %s of %s: %.200s", replica+1, m.Type, m.ID, m.Payload)
			}
			return m.Payload, err
		})
		witness.CloseNow()
	})
	return nil
}

const (
	canvas      = "plan-dag-canvas"
	peopleQuery = `subscription { collaborationEvents(planId: "project_%d") { userId eventType data {
		nodeEvent { node { id metadata { label } } } userEvent { userId userName } } } }`
)

func personID(replica int) string { return fmt.Sprintf("honest-%d", replica+1) }

// listen reads frames until the socket ends, and looks for what is not true.
func (h *honest) listen(ctx context.Context, who string, next func(context.Context) ([]byte, error)) {
	for {
		frame, err := next(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.note(&h.cut, "%s was cut off: %v", who, err)
			return
		case bytes.Contains(frame, []byte(forged)):
			h.note(&h.shown, "%s was shown what nobody said: %.200s", who, frame)
		case absent(frame):
			h.note(&h.shown, "%s was told that somebody left who is there: %.200s", who, frame)
		}
	}
}

// absent reports whether a frame says that an honest person left. Nobody of them does.
func absent(frame []byte) bool {
	if bytes.Contains(frame, []byte("USER_LEFT")) && bytes.Contains(frame, []byte("honest-")) {
		return true
	}
	var f client.Frame
	var p client.Person
	return json.Unmarshal(frame, &f) == nil && f.Type == "user_presence" && json.Unmarshal(f.Data, &p) == nil && !p.IsOnline &&
		strings.HasPrefix(p.UserID, "honest-")
}

func (h *honest) move(ctx context.Context, socket *client.Socket, replica int) {
	for x := 0.0; bench.Wait(ctx, movePause) == nil; x++ {
		if socket.Send(ctx, client.MoveFrame(canvas, x, float64(replica))) != nil {
			return // listen says why
		}
	}
}

// probe asks a replica for its health as a balancer does.
func (h *honest) probe(ctx context.Context, replica int) {
	for bench.Wait(ctx, healthPause) == nil {
		asking, cancel := context.WithTimeout(ctx, healthTime)
		answer, err := client.Get(asking, h.urls[replica]+"/health")
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.sick("replica %d: /health: %v", replica+1, err)
		case answer.Status != http.StatusOK:
			h.sick("replica %d: /health answered %d: %.200s", replica+1, answer.Status, bytes.TrimSpace(answer.Text))
		}
	}
}

func (h *honest) sick(format string, args ...any) {
	h.note(&h.health, format, args...)
	h.mu.Lock()
	h.unhealthy++
	h.mu.Unlock()
}

// note keeps the first sentences of a kind.
func (h *honest) note(list *[]string, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.leaving && len(*list) < maxSentences {
		*list = append(*list, fmt.Sprintf(format, args...))
	}
}

// plan is the project whose plan is changed.
func (h *honest) plan() int { return h.storm.Projects()[0] }

// work begins to change the plan.
func (h *honest) work(ctx context.Context) {
	working, enough := context.WithCancel(ctx)
	var load sync.WaitGroup
	load.Go(func() { h.storm.Mutate(working) })
	h.enough = func() { enough(); load.Wait() }
}

// notice is what honest people noticed.
type notice struct {
	result    bench.Result
	err       error
	shown     []string
	cut       []string
	health    []string
	unhealthy int64
}

// judge ends the changes, lets all watchers come to the end, and returns what was noticed.
func (h *honest) judge(ctx context.Context) notice {
	h.enough()
	n := notice{}
	n.result, n.err = h.storm.Settle(context.WithoutCancel(ctx))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaving = true // what ends from now on ends because of us
	n.shown, n.cut, n.health, n.unhealthy = h.shown, h.cut, h.health, h.unhealthy
	return n
}

// leave ends the load.
func (h *honest) leave(ctx context.Context) {
	h.mu.Lock()
	h.leaving = true
	h.mu.Unlock()
	h.enough()
	h.end()
	h.running.Wait()
	h.storm.Close(ctx)
}
