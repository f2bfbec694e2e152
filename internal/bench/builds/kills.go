package builds

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"

	"github.com/jackc/pgx/v5"
)

// overlay uploads a table that changes nodes of a plan, so that it has to be built again.
func (r *run) overlay(ctx context.Context, p *built, round int) error {
	count, rows := overlayTable(r.cfg.Rows, round, dice(r.cfg.Seed, p.number, overlays+round))
	made, err := r.make(p, overlays+round, "overlay", "nodes", count, rows)
	if err != nil {
		return err
	}
	sources, err := upload(ctx, r.next(), p.id, fmt.Sprintf("overlay-%d-%d", p.number, round), made)
	if err != nil {
		return err
	}
	p.tables = append(p.tables, made)
	return r.connect(ctx, p.id, sources)
}

// held are the tables at which builders are caught: before they write the content, in its nodes, and in its edges.
var held = []string{"contents", "content_nodes", "content_edges"}

// claimed is a build under way.
type claimed struct {
	incarnation, address, node string
	attempt                    int
}

// catch holds builders of a project back before they write to a table, and returns one that waits there. Nobody writes to the table before
// release.
func (r *run) catch(ctx context.Context, p *built, table string) (c claimed, release func(), err error) {
	holding, err := r.deployment.Connect(ctx)
	if err != nil {
		return c, nil, err
	}
	release = func() { _ = holding.Close(context.WithoutCancel(ctx)) } // rolls back
	defer func() {
		if err != nil {
			release()
		}
	}()
	if _, err := holding.Exec(ctx, "BEGIN"); err != nil {
		return c, nil, err
	}
	if _, err := holding.Exec(ctx, "LOCK TABLE "+pgx.Identifier{table}.Sanitize()+" IN SHARE MODE"); err != nil {
		return c, nil, err
	}
	r.ask(ctx, p.id, graphNode)
	err = r.until(ctx, killTime, "no builder writes to "+table, func(ctx context.Context) (bool, error) {
		err := r.conn.QueryRow(ctx, `SELECT c.incarnation::text, r.address, g.node_id, b.attempt
			FROM claims c JOIN replicas r USING (incarnation) JOIN graphs g ON g.id = c.graph_id
			JOIN builds b ON b.graph_id = c.graph_id AND b.finished_at IS NULL
			WHERE c.project_id = $1
				AND EXISTS (SELECT FROM pg_locks WHERE relation = $2::text::regclass AND NOT granted)`, p.id, table).
			Scan(&c.incarnation, &c.address, &c.node, &c.attempt)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		return err == nil, err
	})
	return c, release, err
}

// until asks again and again until the answer is yes.
func (r *run) until(ctx context.Context, limit time.Duration, otherwise string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s after %v", otherwise, limit))
	defer cancel()
	for {
		yes, err := ask(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil || yes {
			return err
		}
		if err := bench.Wait(ctx, pollPause); err != nil {
			return err
		}
	}
}

// kills kills builders, each at another place.
func (r *run) kills(ctx context.Context) error {
	random := rand.New(rand.NewPCG(r.cfg.Seed, 1))
	for k := range r.cfg.Kills {
		p := r.plans[random.IntN(len(r.plans))]
		if err := r.kill(ctx, p, k, held[k%len(held)]); err != nil {
			return err
		}
		if err := r.verify(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// kill lets a plan be built and kills the replica that builds it. Another one has to take over, and to come to the same result.
func (r *run) kill(ctx context.Context, p *built, round int, table string) error {
	if err := r.overlay(ctx, p, round); err != nil {
		return err
	}
	p.rounds++
	c, release, err := r.catch(ctx, p, table)
	if err != nil {
		return err
	}
	defer release()
	i := slices.IndexFunc(r.deployment.Replicas, func(one *deployment.Replica) bool { return strings.HasSuffix(one.URL, c.address) })
	if i < 0 {
		return fmt.Errorf("no replica listens at %s, which builds project %d", c.address, p.id)
	}
	var claims int64
	if err := r.conn.QueryRow(ctx, "SELECT count(*) FROM claims WHERE incarnation = $1::text::uuid", c.incarnation).Scan(&claims); err != nil {
		return err
	}
	r.killed += claims
	one := r.deployment.Replicas[i]
	one.KeepAway(true)
	defer one.KeepAway(false)
	began := time.Now()
	one.Kill()
	release()
	err = r.until(ctx, killTime, "nobody took over", func(ctx context.Context) (taken bool, err error) {
		err = r.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM claims c JOIN graphs g ON g.id = c.graph_id
				WHERE c.project_id = $1 AND g.node_id = $2 AND c.incarnation <> $3::text::uuid)
			OR NOT EXISTS (SELECT FROM builds WHERE project_id = $1 AND node_id = $2 AND finished_at IS NULL)`,
			p.id, c.node, c.incarnation).Scan(&taken)
		return taken, err
	})
	if err != nil {
		return err
	}
	t := Takeover{Table: table, Seconds: time.Since(began).Seconds()}
	if err := r.await(ctx, p.id); err != nil {
		return err
	}
	t.Built = time.Since(began).Seconds()
	r.result.Takeovers = append(r.result.Takeovers, t)
	r.say("replica %d is killed while it writes to %s: another one builds after %.2f s, and is done after %.2f s",
		i+1, table, t.Seconds, t.Built)
	one.KeepAway(false)
	return r.deployment.Ready(ctx)
}

// cancel cancels a build under way. The former content stays, and the next build comes to the right one.
func (r *run) cancel(ctx context.Context) error {
	p := r.plans[0]
	before, err := r.contentOf(ctx, p)
	if err != nil {
		return err
	}
	if err := r.overlay(ctx, p, r.cfg.Kills); err != nil {
		return err
	}
	_, release, err := r.catch(ctx, p, held[0])
	if err != nil {
		return err
	}
	defer release()
	began := time.Now()
	if err := cancelBuilds(ctx, r.next(), p.id); err != nil {
		return err
	}
	err = r.until(ctx, killTime, "a cancelled build is still there", func(ctx context.Context) (gone bool, err error) {
		err = r.conn.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM claims WHERE project_id = $1)
			AND NOT EXISTS (SELECT FROM builds WHERE project_id = $1 AND finished_at IS NULL)`, p.id).Scan(&gone)
		return gone, err
	})
	if err != nil {
		return err
	}
	r.result.CancelSeconds = time.Since(began).Seconds()
	release()
	if now, err := r.contentOf(ctx, p); err != nil || now != before {
		if err != nil {
			return err
		}
		r.wrong("project %d: the content was %d, and is %d after a build was cancelled", p.id, before, now)
	}
	r.say("a build is cancelled after %.3f s", r.result.CancelSeconds)
	p.rounds++
	if err := execute(ctx, r.next(), p.id, graphNode); err != nil {
		return err
	}
	if err := r.await(ctx, p.id); err != nil {
		return err
	}
	return r.verify(ctx, p)
}

func (r *run) contentOf(ctx context.Context, p *built) (id int64, err error) {
	err = r.conn.QueryRow(ctx, "SELECT content_id FROM graphs WHERE project_id = $1 AND node_id = $2", p.id, graphNode).Scan(&id)
	return id, err
}
