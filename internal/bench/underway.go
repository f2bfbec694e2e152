package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"layercake/internal/client"
)

// The methods below are for callers that do something to replicas during a storm.

// Projects returns the ids of the projects that the storm changes.
func (s *RunningStorm) Projects() []int {
	ids := make([]int, len(s.projects))
	for i, p := range s.projects {
		ids[i] = p.id
	}
	return ids
}

// Watched returns the ids of all projects that subscribers follow: those that the storm changes first.
func (s *RunningStorm) Watched() []int { return append(s.Projects(), s.cfg.Others...) }

// CreateProject makes another project, which Close deletes, too.
func (s *RunningStorm) CreateProject(ctx context.Context, name string) (int, error) {
	id, err := s.clients.createProject(ctx, name)
	if err == nil {
		s.others = append(s.others, id)
	}
	return id, err
}

// DeleteProject deletes a project under its subscribers, who give up then.
func (s *RunningStorm) DeleteProject(ctx context.Context, id int) error {
	return s.clients.deleteProject(ctx, id)
}

// Subscription returns a request for the events of a project from its current version on.
func (s *RunningStorm) Subscription(ctx context.Context, project int) (client.Request, error) {
	plan, err := s.clients.plan(ctx, project)
	if err != nil {
		return client.Request{}, err
	}
	return newEvents(plan).subscribe(project), nil
}

// Failures waits until all subscribers have given up, and returns why each did.
func (s *RunningStorm) Failures(ctx context.Context) ([]error, error) {
	ended := make(chan struct{})
	go func() { s.following.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	failures := make([]error, len(s.subscribers))
	for i, sub := range s.subscribers {
		failures[i] = sub.failure
	}
	return failures, nil
}

// Reach waits until every subscriber that does not nap has reached the head of its project.
func (s *RunningStorm) Reach(ctx context.Context, heads map[int]Place) error {
	for {
		i := slices.IndexFunc(s.subscribers, func(sub *subscriber) bool {
			return sub.away == 0 && sub.at().before(heads[sub.project.id])
		})
		if i < 0 {
			return nil
		}
		if behind := s.subscribers[i]; Wait(ctx, 5*time.Millisecond) != nil {
			project := behind.project.id
			return fmt.Errorf("a subscriber of project %d is at %v, the head was %v", project, behind.at(), heads[project])
		}
	}
}

// BetweenRequests calls f while no mutator's request is on its way. Requests that are due wait until it returns.
func (s *RunningStorm) BetweenRequests(f func()) {
	s.asking.Lock()
	defer s.asking.Unlock()
	f()
}

// Answers are the changes that were answered until some moment, by project.
type Answers []bitset

// Answered copies which changes were answered so far.
func (s *RunningStorm) Answered() Answers {
	sets := make(Answers, len(s.projects))
	for i, p := range s.projects {
		p.mu.Lock()
		sets[i] = slices.Clone(p.answered)
		p.mu.Unlock()
	}
	return sets
}

// Forget forgets the changes that were answered between two moments, and returns how many they are.
func (s *RunningStorm) Forget(from, to Answers) (n int64) {
	for i, p := range s.projects {
		p.mu.Lock()
		n += p.answered.remove(to[i], from[i])
		p.mu.Unlock()
	}
	return n
}

// Unlogged counts the answered changes of a project whose operation ids are not among those of its log, and names the first.
func (s *RunningStorm) Unlogged(project int, log []string) (n int64, first string) {
	p := s.projects[slices.Index(s.Projects(), project)]
	var logged bitset
	for _, id := range log {
		if n, ok := p.operationNumber(id); ok {
			logged.add(n)
		}
	}
	n, number := p.answered.without(logged)
	return n, fmt.Sprintf("%s-%d", p.run, number)
}

// Cursor returns where the plan of a project is, as a replica says.
func (s *RunningStorm) Cursor(ctx context.Context, project, replica int) (string, error) {
	var data struct{ GetPlanDag struct{ Cursor string } }
	q := client.Request{Query: `query($id: Int!) { getPlanDag(projectId: $id) { cursor } }`, Variables: map[string]any{"id": project}}
	err := s.clients.do(ctx, replica%len(s.clients), q, &data)
	return data.GetPlanDag.Cursor, err
}
