package plan_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/embeddedpg"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"golang.org/x/sync/errgroup"
)

// Moving one node costs the same in a plan of 10 nodes and in one of 1,000.
func BenchmarkMoveOneNode(b *testing.B) {
	for _, size := range []int{10, 1000} {
		b.Run(fmt.Sprint("nodes=", size), func(b *testing.B) {
			url := pgtest.New(b)
			r := startReplica(b, url, 0)
			p := r.create(b)
			edits := make([]plan.Edit, size)
			for i := range edits {
				edits[i] = plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)}
			}
			r.change(b, p, edits...)
			analyze(b, url)
			middle := fmt.Sprint("n", size/2)
			b.ResetTimer()
			for i := range b.N {
				r.change(b, p, plan.UpdateNode{ID: middle, Position: &plan.Position{X: float64(i%1000 + 1)}})
			}
		})
	}
}

// analyze does what autovacuum does within a minute: until then statements have the plans that were right for empty tables.
func analyze(b *testing.B, url string) {
	b.Helper()
	pgtest.Exec(b, pgtest.Connect(b, url), "ANALYZE")
}

// durable starts a server that flushes what it commits, as those of the other tests do not.
func durable(b *testing.B) (url string) {
	b.Helper()
	folder, err := os.MkdirTemp("", "layercake-bench-") //nolint:usetesting // the server may run as another user
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o711); err != nil {
		b.Fatal(err)
	}
	server, err := embeddedpg.Start(b.Context(), embeddedpg.Config{
		BinDir: pgtest.Binaries(b), DataDir: filepath.Join(folder, "data"), RunDir: folder,
		Settings: map[string]string{"max_connections": "200"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	if err := postgres.Migrate(b.Context(), server.URL(), slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	return server.URL()
}

// What telling the other replicas costs: changes by 50 writers of 50 projects over three replicas, with lines that follow the
// commit, with a NOTIFY inside each transaction instead, and with none. A transaction that notifies holds a lock of the whole
// database while it is flushed.
func BenchmarkTellingOthers(b *testing.B) {
	for name, c := range map[string]struct {
		loss   float64
		inside bool
	}{
		"how=after_the_commit": {}, "how=inside_the_transaction": {loss: 1, inside: true}, "how=not_at_all": {loss: 1},
	} {
		b.Run(name, func(b *testing.B) {
			const writers = 50
			url := durable(b)
			conn := pgtest.Connect(b, url)
			if c.inside {
				_, err := conn.Exec(b.Context(), `
					CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
						BEGIN PERFORM pg_notify('layercake_inside', NEW.project_id || ' ' || NEW.version || ' ' || NEW.body); RETURN NULL; END $$;
					CREATE TRIGGER tell AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION tell()`)
				if err != nil {
					b.Fatal(err)
				}
			}
			replicas := []*replica{startReplica(b, url, c.loss), startReplica(b, url, c.loss), startReplica(b, url, c.loss)}
			projects := make([]int32, writers)
			for i := range projects {
				projects[i] = replicas[0].create(b)
				replicas[0].change(b, projects[i], plan.AddNode{Node: node("n", plan.GraphNode)})
			}
			b.ResetTimer()
			var load errgroup.Group
			for i, p := range projects {
				load.Go(func() error {
					r := replicas[i%len(replicas)]
					for n := i; n < b.N; n += writers {
						edit := plan.UpdateNode{ID: "n", Position: &plan.Position{X: float64(n%10_000 + 1)}}
						if _, err := r.plans.Change(b.Context(), auth.Unchecked(r.actor, p), plan.Change{Via: "test", Edits: []plan.Edit{edit}}); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err := load.Wait(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

// Undoing a move costs about a move, in a plan of any size, by number and as the caller's newest. The medians are of moves and undos in turns.
func BenchmarkUndo(b *testing.B) {
	const nodes = 1000
	url := durable(b)
	r := startReplica(b, url, 0)
	p := r.create(b)
	edits := make([]plan.Edit, 0, 3*nodes)
	for i := range nodes {
		edits = append(edits, plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)})
	}
	for i := range 2 * nodes {
		source := i % (nodes - 2)
		edits = append(edits, plan.AddEdge{Edge: edge(fmt.Sprint("e", i), fmt.Sprint("n", source), fmt.Sprint("n", source+1+i/(nodes-2)))})
	}
	edits = edits[:nodes+2*(nodes-2)]
	r.change(b, p, edits...)
	for i := range 2000 { // of others, so that there is something to look through
		r.change(b, p, plan.UpdateNode{ID: "n7", Position: &plan.Position{X: float64(i%1000 + 1)}})
	}
	analyze(b, url)
	actor := auth.Actor{ID: "ann", Kind: "user", Name: "Ann"}
	for _, how := range []string{"named", "newest"} {
		b.Run("how="+how, func(b *testing.B) {
			var moves, undos []time.Duration
			for i := range b.N {
				began := time.Now()
				moved, err := r.plans.Change(b.Context(), auth.Unchecked(actor, p), plan.Change{Via: "test", Edits: []plan.Edit{
					plan.UpdateNode{ID: "n500", Position: &plan.Position{X: float64(i%1000 + 1)}},
				}})
				if err != nil {
					b.Fatal(err)
				}
				moves = append(moves, time.Since(began))
				in := plan.UndoInput{Via: "test"}
				if how == "named" {
					in.Version = moved.At.Version
				}
				began = time.Now()
				undone, err := r.plans.Undo(b.Context(), auth.Unchecked(actor, p), in)
				if err != nil || undone.Change == nil || undone.Change.Undoes != moved.At.Version {
					b.Fatal(undone, err)
				}
				undos = append(undos, time.Since(began))
			}
			slices.Sort(moves)
			slices.Sort(undos)
			move, undo := moves[len(moves)/2], undos[len(undos)/2]
			b.ReportMetric(float64(move.Microseconds()), "µs/move")
			b.ReportMetric(float64(undo.Microseconds()), "µs/undo")
			b.ReportMetric(float64(undo)/float64(move), "undos/move")
		})
	}
}
