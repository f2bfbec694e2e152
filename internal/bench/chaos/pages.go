package chaos

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"time"

	"layercake/internal/bench"
	"layercake/internal/child"
	"layercake/internal/client"
)

// PagesResult is the judgement of pages in browsers, each of which follows a plan of the storm.
type PagesResult struct {
	Pages      int      `json:"pages"`
	Events     int64    `json:"events"`        // changes that they were told of
	Agreed     float64  `json:"agreedSeconds"` // time from the end of the storm until all showed their plans as the rows are
	Complaints []string `json:"complaints"`
}

// OK reports whether each page showed its plan as it was in the end, and nothing failed in it.
func (r PagesResult) OK() bool { return len(r.Complaints) == 0 }

// String shows the result in a line.
func (r PagesResult) String() string {
	return fmt.Sprintf("%d pages were told of %d changes, and showed the rows after %.2f s", r.Pages, r.Events, r.Agreed)
}

const (
	pagesScript = "test/chaos-pages.mjs"
	pagesTime   = 40 * time.Second       // limit for pages to open, or to say what they show
	pagesAgain  = 100 * time.Millisecond // between two looks at pages that do not show the rows yet
)

// pages are browsers with the page, driven by a script of it.
type pages struct {
	in    io.WriteCloser
	lines chan []byte // answers of the script; closed when it has ended
	ended chan struct{}

	open    []openPage
	replica *client.Client // who is asked for the rows
}

// openPage is a page of one project.
type openPage struct {
	url     string
	project int
}

// startPages starts a browser by the script in a folder of the page's sources. The error says what is missing.
func startPages(folder string) (*pages, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("node is not installed")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, errors.New("chromium is not installed")
	}
	if packages := filepath.Join(folder, "node_modules", "playwright-core"); !exists(packages) {
		return nil, fmt.Errorf("there is no %s: run `make web`, or name the folder of the page's sources by --web", packages)
	}
	cmd := exec.Command(node, pagesScript)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &pages{in: in, lines: make(chan []byte), ended: make(chan struct{})}
	if err := child.Start(cmd, syscall.SIGKILL, func(error) { close(p.ended) }); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.lines)
		for answers := bufio.NewReader(out); ; {
			line, err := answers.ReadBytes('\n')
			if err != nil {
				return
			}
			select {
			case p.lines <- line:
			case <-p.ended:
				return
			}
		}
	}()
	return p, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// close ends the browser.
func (p *pages) close() {
	if p == nil {
		return
	}
	p.forget()
	_ = p.in.Close() // the script ends with its input
	<-p.ended
}

// forget closes what asks for the rows.
func (p *pages) forget() {
	if p.replica != nil {
		p.replica.Close()
	}
	p.replica, p.open = nil, nil
}

// ask has the script do something, and decodes its answer.
func (p *pages) ask(ctx context.Context, what string, value, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pagesTime, fmt.Errorf("pages did not answer within %v", pagesTime))
	defer cancel()
	line, err := json.Marshal(map[string]any{what: value})
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask pages: %w", err)
	}
	select {
	case answer, ok := <-p.lines:
		var failed struct{ Error string }
		switch {
		case !ok:
			return errors.New("the browser of the pages has ended")
		case json.Unmarshal(answer, &failed) != nil || failed.Error != "":
			return fmt.Errorf("pages: %s", cmp.Or(failed.Error, string(answer)))
		case into == nil:
			return nil
		}
		return json.Unmarshal(answer, into)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// follow opens so many pages of projects, each at the next replica, in the place of those before. It does nothing for nil.
func (p *pages) follow(ctx context.Context, count int, urls []string, projects []int) error {
	if p == nil {
		return nil
	}
	p.forget()
	p.replica = client.New(urls[0])
	addresses := make([]string, count)
	for i := range addresses {
		page := openPage{url: urls[i%len(urls)], project: projects[i/len(urls)%len(projects)]}
		p.open = append(p.open, page)
		addresses[i] = fmt.Sprintf("%s/projects/%d", page.url, page.project)
	}
	return p.ask(ctx, "open", addresses, nil)
}

// shownPlan is a plan, as a page or the rows have it.
type shownPlan struct {
	Version json.Number // a text in answers of GraphQL
	Nodes   []any
	Edges   []any
}

// inOrder sorts the elements, which are in no order that counts here.
func (s *shownPlan) inOrder() {
	text := func(element any) string {
		b, _ := json.Marshal(element) // it came as JSON
		return string(b)
	}
	for _, elements := range [][]any{s.Nodes, s.Edges} {
		slices.SortFunc(elements, func(a, b any) int { return cmp.Compare(text(a), text(b)) })
	}
}

// rows reads a plan, as far as pages show it.
func (p *pages) rows(ctx context.Context, project int) (plan shownPlan, err error) {
	var data struct{ GetPlanDag shownPlan }
	err = p.replica.Do(ctx, client.Request{
		Query: `query ($id: Int!) { getPlanDag(projectId: $id) { version
			nodes { id nodeType position { x y } metadata { label description } config } edges { source target metadata { label dataType } } } }`,
		Variables: map[string]any{"id": project},
	}, &data)
	data.GetPlanDag.inOrder()
	return data.GetPlanDag, err
}

// agree waits until each page shows its plan as the rows are, and says what does not.
func (p *pages) agree(ctx context.Context) (result PagesResult) {
	if p == nil {
		return result
	}
	began := time.Now()
	result.Pages = len(p.open)
	for {
		differences, events, err := p.compare(ctx)
		result.Events, result.Agreed = events, time.Since(began).Seconds()
		if err != nil {
			differences = []string{err.Error()}
		}
		if len(differences) == 0 || time.Since(began) > bench.MaxRecovery || bench.Wait(ctx, pagesAgain) != nil {
			result.Complaints = differences
			return result
		}
	}
}

// compare asks each page once, and returns what is otherwise than the rows.
func (p *pages) compare(ctx context.Context) (differences []string, events int64, err error) {
	var shown struct {
		Pages []struct {
			State, Words string
			Events       int64
			Problems     []string
			shownPlan
		}
	}
	if err := p.ask(ctx, "show", true, &shown); err != nil {
		return nil, 0, err
	}
	for i, page := range shown.Pages {
		of := p.open[i]
		plan, err := p.rows(ctx, of.project)
		if err != nil {
			return nil, events, fmt.Errorf("read the plan of project %d: %w", of.project, err)
		}
		page.inOrder()
		events += page.Events
		differ := func(format string, values ...any) {
			differences = append(differences, fmt.Sprintf("the page of project %d at %s ", of.project, of.url)+fmt.Sprintf(format, values...))
		}
		switch {
		case page.State != "live":
			differ("says: %s", page.Words)
		case page.Version != plan.Version:
			differ("was told of version %s, want %s", page.Version, plan.Version)
		case !reflect.DeepEqual(page.Nodes, plan.Nodes):
			differ("shows %d nodes that are not the %d of the rows", len(page.Nodes), len(plan.Nodes))
		case !reflect.DeepEqual(page.Edges, plan.Edges):
			differ("shows %d edges that are not the %d of the rows", len(page.Edges), len(plan.Edges))
		}
		for _, problem := range page.Problems {
			differ("failed: %s", problem)
		}
	}
	return differences, events, nil
}
