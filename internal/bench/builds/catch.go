package builds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"layercake/internal/bench"
	"layercake/internal/bench/deployment"

	"github.com/jackc/pgx/v5"
)

// Places are the tables at which builders can be caught: before they write a content, at its nodes, and at its edges.
var Places = []string{"contents", "content_nodes", "content_edges"}

const (
	catchTime = time.Minute // limit for a builder to come
	pollPause = 5 * time.Millisecond
)

// Caught is a build under way that waits at a table.
type Caught struct {
	Replica *deployment.Replica // the replica that builds
	Node    string              // the node of the plan
	Release func()              // lets builders write again; it may be called more than once

	incarnation string
}

// Catch keeps builders from writing to a table by a lock, calls ask, and returns a build of a project that waits there. So a fault can come
// in the middle of the shortest build. The caller releases.
func Catch(ctx context.Context, d *deployment.Deployment, project int, table string, ask func()) (c Caught, err error) {
	holding, err := d.Connect(ctx)
	if err != nil {
		return c, err
	}
	c.Release = func() { _ = holding.Close(context.WithoutCancel(ctx)) } // rolls back
	defer func() {
		if err != nil {
			c.Release()
		}
	}()
	looking, err := d.Connect(ctx)
	if err != nil {
		return c, err
	}
	defer func() { _ = looking.Close(context.WithoutCancel(ctx)) }() // what it read is complete
	for _, sql := range []string{"BEGIN", "LOCK TABLE " + pgx.Identifier{table}.Sanitize() + " IN SHARE MODE"} {
		if _, err := holding.Exec(ctx, sql); err != nil {
			return c, fmt.Errorf("hold builders back at %s: %w", table, err)
		}
	}
	ask()
	var address string
	err = until(ctx, catchTime, "no builder writes to "+table, func(ctx context.Context) (bool, error) {
		err := looking.QueryRow(ctx, `SELECT c.incarnation::text, r.address, g.node_id
			FROM claims c JOIN replicas r USING (incarnation) JOIN graphs g ON g.id = c.graph_id
			WHERE c.project_id = $1 AND EXISTS (SELECT FROM pg_locks WHERE relation = $2::text::regclass AND NOT granted) LIMIT 1`,
			project, table).Scan(&c.incarnation, &address, &c.Node)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return c, err
	}
	i := slices.IndexFunc(d.Replicas, func(r *deployment.Replica) bool { return strings.HasSuffix(r.URL, "/"+address) })
	if i < 0 {
		return c, fmt.Errorf("no replica listens at %s, which builds project %d", address, project)
	}
	c.Replica = d.Replicas[i]
	return c, nil
}

// until asks again and again until the answer is yes.
func until(ctx context.Context, limit time.Duration, otherwise string, ask func(context.Context) (bool, error)) error {
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
