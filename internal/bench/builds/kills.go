package builds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
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

// kills kills builders, each at another place.
func (r *run) kills(ctx context.Context) error {
	random := rand.New(rand.NewPCG(r.cfg.Seed, 1))
	for k := range r.cfg.Kills {
		p := r.plans[random.IntN(len(r.plans))]
		if err := r.kill(ctx, p, k, Places[k%len(Places)]); err != nil {
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
	c, err := Catch(ctx, r.deployment, p.id, table, func() { r.ask(ctx, p.id, graphNode) })
	if err != nil {
		return err
	}
	defer c.Release()
	var claims int64
	if err := r.conn.QueryRow(ctx, "SELECT count(*) FROM claims WHERE incarnation = $1::text::uuid", c.incarnation).Scan(&claims); err != nil {
		return err
	}
	r.killed += claims
	c.Replica.KeepAway(true)
	defer c.Replica.KeepAway(false)
	began := time.Now()
	c.Replica.Kill()
	c.Release()
	err = until(ctx, killTime, "nobody took over", func(ctx context.Context) (taken bool, err error) {
		err = r.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM claims c JOIN graphs g ON g.id = c.graph_id
				WHERE c.project_id = $1 AND g.node_id = $2 AND c.incarnation <> $3::text::uuid)
			OR NOT EXISTS (SELECT FROM builds WHERE project_id = $1 AND node_id = $2 AND finished_at IS NULL)`,
			p.id, c.Node, c.incarnation).Scan(&taken)
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
		c.Replica.Number, table, t.Seconds, t.Built)
	c.Replica.KeepAway(false)
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
	c, err := Catch(ctx, r.deployment, p.id, Places[0], func() { r.ask(ctx, p.id, graphNode) })
	if err != nil {
		return err
	}
	defer c.Release()
	began := time.Now()
	if err := cancelBuilds(ctx, r.next(), p.id); err != nil {
		return err
	}
	err = until(ctx, killTime, "a cancelled build is still there", func(ctx context.Context) (gone bool, err error) {
		err = r.conn.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM claims WHERE project_id = $1)
			AND NOT EXISTS (SELECT FROM builds WHERE project_id = $1 AND finished_at IS NULL)`, p.id).Scan(&gone)
		return gone, err
	})
	if err != nil {
		return err
	}
	r.result.CancelSeconds = time.Since(began).Seconds()
	c.Release()
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
