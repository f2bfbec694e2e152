package plan

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/project"
	"layercake/internal/task"

	"github.com/jackc/pgx/v5"
)

const (
	lookEvery      = time.Second     // time between two looks at the heads of all boards; what no line announced comes this late
	lookTime       = 3 * time.Second // limit of a statement
	maxTail        = 64 << 10        // bytes of operations that a board keeps
	maxTailEntries = 100             // proposals that a board keeps, and that one statement reads
)

// letterProposal begins the lines of replicas about proposals: "p <project> <revision>" says how far those of a project are. Each is a hint
// that stands for all before it.
const letterProposal = 'p'

// topic is how the proposals of all replicas speak to each other.
func (p *Proposals) topic() fanout.Topic {
	return fanout.Topic{
		Channel: fanout.Events, Kinds: map[byte]string{letterProposal: "proposal"},
		Hear: func(said fanout.Line) error {
			l, err := parseProposalLine(said)
			if err == nil {
				p.hint(l)
			}
			return err
		},
		Doubt: p.doubt,
		Hint: func(project int32, revision int64) fanout.Line {
			return proposalLine{project, revision}.encode()
		},
	}
}

// proposalLine is what a line about proposals says.
type proposalLine struct {
	project  int32
	revision int64
}

func (l proposalLine) encode() fanout.Line {
	return fanout.Line{
		Letter: letterProposal, Text: strconv.Itoa(int(l.project)) + " " + strconv.FormatInt(l.revision, 10),
		Project: l.project, Version: l.revision,
	}
}

func parseProposalLine(said fanout.Line) (proposalLine, error) {
	first, second, _ := strings.Cut(said.Text, " ")
	projectID, errProject := strconv.ParseInt(first, 10, 32)
	revision, errRevision := strconv.ParseInt(second, 10, 64)
	if errProject != nil || errRevision != nil || projectID < 1 || revision < 1 {
		return proposalLine{}, fmt.Errorf("malformed line about proposals: %c %.80q", said.Letter, said.Text)
	}
	return proposalLine{int32(projectID), revision}, nil
}

// announce brings what happened to a proposal to the watchers here, and to other replicas. It never waits.
func (p *Proposals) announce(one Proposal) {
	p.total.WithLabelValues(string(one.Status)).Inc()
	l := proposalLine{one.ProjectID, one.Revision}
	p.hint(l)
	p.wire.Publish(l.encode())
}

// hint notes how far the proposals of a project are said to be.
func (p *Proposals) hint(l proposalLine) {
	p.mu.Lock()
	b := p.boards[l.project]
	p.mu.Unlock()
	if b != nil && b.hint(l.revision) {
		task.Wake(p.wake)
	}
}

// doubt makes all boards be compared with the tables at once: lines may have been missed.
func (p *Proposals) doubt(string) {
	p.mu.Lock()
	p.doubts = true
	p.mu.Unlock()
	task.Wake(p.wake)
}

// Run brings the boards to where the tables are, when a line says that they are behind and each second, until ctx ends.
func (p *Proposals) Run(ctx context.Context) error {
	outages := outage.New(p.log, "look for proposals", "")
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			all = true
		case <-p.wake:
		}
		outages.Note(ctx, p.guard.Do(func() error { return p.follow(ctx, p.behind(all)) }))
	}
}

// behind returns the boards that may be behind: all of them, or those of which a line spoke.
func (p *Proposals) behind(all bool) (boards []*board) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = all || p.doubts
	p.doubts = false
	for _, b := range p.boards {
		if b.due(all) {
			boards = append(boards, b)
		}
	}
	return boards
}

// follow compares boards with the heads, in one statement, and reads what those lack that are behind.
func (p *Proposals) follow(ctx context.Context, boards []*board) error {
	if len(boards) == 0 {
		return nil
	}
	projects := make([]int32, len(boards))
	for i, b := range boards {
		projects[i] = b.project
	}
	heads := make(map[int32]int64, len(boards))
	epoch, err := p.ask(ctx, p.db.System, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.ListProposalHeads(ctx, projects)
		for _, row := range rows {
			heads[row.ProjectID] = row.Revision
		}
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range boards {
		head, found := heads[b.project]
		if !found {
			b.end(project.ErrNotFound)
			continue
		}
		for after := b.compare(epoch, head); after < head; {
			page, err := p.page(ctx, p.db.System, b.project, after)
			if err != nil {
				errs = append(errs, err)
				break
			}
			after = b.add(page, head)
		}
	}
	return errors.Join(errs...)
}

// ask queries the database, and returns its history.
func (p *Proposals) ask(
	ctx context.Context, pool *postgres.Pool, query func(context.Context, *db.Queries) error,
) (epoch postgres.Epoch, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	err = pool.Do(ctx, func(conn *pgx.Conn) error {
		epoch = postgres.EpochOfConn(conn)
		return query(ctx, db.New(conn))
	})
	if err != nil {
		return "", fmt.Errorf("read proposals: %w", err)
	}
	return epoch, nil
}

// page reads the first proposals that changed after a revision. Those that changed again since then, or were removed, are not among them.
func (p *Proposals) page(ctx context.Context, pool *postgres.Pool, projectID int32, after int64) (page []*Proposal, err error) {
	p.pages.Inc()
	_, err = p.ask(ctx, pool, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.ListProposalsAfter(ctx, db.ListProposalsAfterParams{
			ProjectID: projectID, After: after, Most: maxTailEntries, MaxBytes: maxTail,
		})
		page = pageOf(rows)
		return err
	})
	return page, err
}

func pageOf(rows []db.Proposal) []*Proposal {
	page := make([]*Proposal, len(rows))
	for i, row := range rows {
		one := proposalOf(row)
		page[i] = &one
	}
	return page
}

// board is what a replica holds of the proposals of a project while somebody watches them: the newest, to which watchers are cursors.
type board struct {
	project  int32
	watchers int // guarded by Proposals.mu

	mu         sync.Mutex
	begun      bool           // whether the next fields are set
	epoch      postgres.Epoch // history of the revisions
	generation int            // steps when the board begins anew, since the database is in another history
	revision   int64          // how far the board is
	floor      int64          // revision after which tail has everything up to revision
	tail       []*Proposal    // by ascending revision
	bytes      int            // operations in tail
	hinted     int64          // how far a line says that the proposals are
	failure    error          // what ended the board
	changed    chan struct{}  // closed when something of this changes
}

// notify wakes the watchers. The caller holds the mutex.
func (b *board) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// hint notes how far a line says that the proposals are. It reports whether the board is behind that.
func (b *board) hint(revision int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hinted = max(b.hinted, revision)
	return b.begun && b.hinted > b.revision
}

// due reports whether the board is to be compared with its head, and takes what lines said: it may have been true in another history only.
// What they say from now on counts for the next time, since the query may not see it.
func (b *board) due(all bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.begun || b.failure != nil || !all && b.hinted <= b.revision {
		return false
	}
	b.hinted = 0
	return true
}

// begin sets where the board is, unless it is somewhere already. It reports whether a line says that it is behind.
func (b *board) begin(epoch postgres.Epoch, head int64) (behind bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		return false
	}
	b.begun, b.epoch, b.revision, b.floor = true, epoch, head, head
	b.notify()
	return b.hinted > head
}

// compare returns how far the board is. Where the head, which was read after the board came there, says that the database is in another
// history, the board begins anew at the head, with its watchers.
func (b *board) compare(epoch postgres.Epoch, head int64) (revision int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch || head < b.revision {
		b.epoch, b.revision, b.floor, b.tail, b.bytes = epoch, head, head, nil, 0
		b.generation++
		b.notify()
	}
	return b.revision
}

// add appends what was read after the board's revision, and returns how far the board is then, which may be beyond the head that was read
// before. When nothing was found, there is nothing up to the head: what changed was removed.
func (b *board) add(page []*Proposal, head int64) (revision int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(page) == 0 {
		b.revision = head
	}
	for _, one := range page {
		b.revision = one.Revision
		b.tail = append(b.tail, one)
		b.bytes += len(one.Operations)
	}
	for len(b.tail) > maxTailEntries || b.bytes > maxTail {
		b.floor = b.tail[0].Revision
		b.bytes -= len(b.tail[0].Operations)
		b.tail = b.tail[1:]
	}
	b.notify()
	return b.revision
}

// end ends the board and its watches.
func (b *board) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failure = err
	b.notify()
}

// found is what a watcher finds on the board.
type found struct {
	generation int
	floor      int64           // when it is above the watcher's place, the watcher reads what it lacks from the table
	revision   int64           // place of the watcher when it has taken the proposals
	proposals  []*Proposal     // those after its place
	changed    <-chan struct{} // closed when there is something else
	err        error
}

func (b *board) after(revision int64) found {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := found{generation: b.generation, floor: b.floor, revision: b.revision, changed: b.changed, err: b.failure}
	for i, one := range b.tail {
		if one.Revision > revision {
			f.proposals = b.tail[i:len(b.tail):len(b.tail)]
			break
		}
	}
	return f
}

// enter adds a watcher to the board of a project, which it makes if there is none.
func (p *Proposals) enter(projectID int32) *board {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boards[projectID]
	if b == nil {
		b = &board{project: projectID, changed: make(chan struct{})}
		p.boards[projectID] = b
	}
	b.watchers++
	return b
}

// leave takes a watcher out. The board goes with the last one.
func (p *Proposals) leave(b *board) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.watchers--; b.watchers == 0 && p.boards[b.project] == b {
		delete(p.boards, b.project)
	}
}

// Watch yields the open proposals of a project, and then each proposal that is made or decided, by ascending revision, each revision once,
// until ctx ends. Of one that changes several times before it is taken, only the newest state is yielded. When the database is in another
// history, such as after a restore, it begins again with the open ones. What is yielded is shared, and never changed. It ends with the
// fault NotFound when the project does not exist or is deleted, and with Unavailable when the database does not answer a reader who is
// behind.
func (p *Proposals) Watch(ctx context.Context, access auth.Access) iter.Seq2[*Proposal, error] {
	projectID := access.Project()
	return func(yield func(*Proposal, error) bool) {
		if err := access.May(auth.View); err != nil {
			yield(nil, err)
			return
		}
		w := proposalWatcher{Proposals: p, board: p.enter(projectID), generation: -1}
		defer p.leave(w.board)
		for {
			page, err := w.next(ctx)
			if err == nil {
				err = p.plans.StillMay(ctx, access)
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
		}
	}
}

// proposalWatcher is a cursor to a board. It begins with the open proposals, which it reads from the table.
type proposalWatcher struct {
	*Proposals

	board      *board
	generation int   // of the board, when the watch began; -1 before
	place      int64 // revision up to which everything was taken
	openUpto   int64 // revision of the head when the watch began, while open proposals up to it are taken; else 0
}

// next waits for what comes next: some proposals.
func (w *proposalWatcher) next(ctx context.Context) ([]*Proposal, error) {
	for ctx.Err() == nil {
		f := w.board.after(w.place)
		var page []*Proposal
		var err error
		switch {
		case f.err != nil:
			return nil, f.err
		case f.generation != w.generation:
			err = w.begin(ctx, f.generation)
		case w.openUpto > 0:
			page, err = w.open(ctx)
		case f.floor > w.place:
			page, err = w.missed(ctx, f.floor)
		case f.revision > w.place:
			w.place, page = f.revision, f.proposals
		default:
			select {
			case <-ctx.Done():
			case <-f.changed:
			}
		}
		if err != nil || len(page) > 0 {
			return page, err
		}
	}
	return nil, ctx.Err()
}

// proposalReads are reads of the table by watchers, who share them. A key names all that an answer depends on: whoever joins a read that
// began before finds nothing else in it than a read of their own would have.
type proposalReads struct {
	heads postgres.SharedReads[proposalsAt]
	pages postgres.SharedReads[[]*Proposal]
}

// proposalsAt says how far the proposals of a project are.
type proposalsAt struct {
	epoch    postgres.Epoch
	revision int64
}

// begin finds out where the watch begins.
func (w *proposalWatcher) begin(ctx context.Context, generation int) error {
	key := fmt.Sprint(w.board.project, " ", generation)
	at, err := w.reads.heads.Do(ctx, key, lookTime, func(ctx context.Context) (at proposalsAt, err error) {
		at.epoch, err = w.ask(ctx, w.db.Requests, func(ctx context.Context, q *db.Queries) (err error) {
			at.revision, err = w.head(ctx, q, w.board.project)
			return err
		})
		return at, err
	})
	if err != nil {
		return err
	}
	if w.board.begin(at.epoch, at.revision) {
		task.Wake(w.wake)
	}
	w.generation, w.place, w.openUpto = generation, 0, at.revision
	return nil
}

// open takes some of the open proposals with which the watch begins. One that changed after the beginning comes later.
func (w *proposalWatcher) open(ctx context.Context) ([]*Proposal, error) {
	after, upto := w.place, w.openUpto
	key := fmt.Sprint(w.board.project, " open ", after, " ", upto)
	page, err := w.reads.pages.Do(ctx, key, lookTime, func(ctx context.Context) (page []*Proposal, err error) {
		w.pages.Inc()
		_, err = w.ask(ctx, w.db.Requests, func(ctx context.Context, q *db.Queries) error {
			rows, err := q.ListOpenProposals(ctx, db.ListOpenProposalsParams{
				ProjectID: w.board.project, After: after, Upto: upto, Most: maxTailEntries, MaxBytes: maxTail,
			})
			page = pageOf(rows)
			return err
		})
		return page, err
	})
	switch {
	case err != nil:
	case len(page) > 0:
		w.place = page[len(page)-1].Revision
	default:
		w.place, w.openUpto = w.openUpto, 0
	}
	return page, err
}

// missed takes some of what the board does not keep any more.
func (w *proposalWatcher) missed(ctx context.Context, floor int64) ([]*Proposal, error) {
	after := w.place
	key := fmt.Sprint(w.board.project, " after ", after, " ", floor)
	page, err := w.reads.pages.Do(ctx, key, lookTime, func(ctx context.Context) ([]*Proposal, error) {
		return w.page(ctx, w.db.Requests, w.board.project, after)
	})
	switch {
	case err != nil:
	case len(page) > 0:
		w.place = page[len(page)-1].Revision
	default:
		w.place = floor // what changed up to there was removed
	}
	return page, err
}
