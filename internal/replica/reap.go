package replica

import (
	"context"
	"errors"

	"layercake/internal/db"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// reap removes one replica whose lease has expired, with all that was held under it, in one transaction.
//
// FOR UPDATE on the lease keeps its owner from renewing it, and anybody from writing under it, until the commit; after that both find it
// gone. So the statements that follow see everything that was ever written under it. A lease that is locked is skipped, because its owner
// renews it or another replica removes it.
func (r *Replica) reap(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timing.Query)
	defer cancel()
	var dead uuid.UUID
	var after []func()
	err := r.cfg.DB.System.InTx(ctx, func(q *db.Queries) (err error) {
		after = nil
		dead, err = q.ClaimExpiredReplica(ctx, r.Incarnation())
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, f := range r.onDeath {
			then, err := f(ctx, q, dead)
			if err != nil {
				return err
			}
			if then != nil {
				after = append(after, then)
			}
		}
		return q.DeleteReplica(ctx, dead)
	})
	if err != nil || dead == uuid.Nil {
		return err
	}
	for _, f := range after {
		f()
	}
	r.metrics.reaped.Inc()
	r.cfg.Log.InfoContext(ctx, "removed a replica whose lease expired", "incarnation", dead)
	return nil
}

type metrics struct {
	reaped prometheus.Counter
}

// newMetrics registers the metrics on r, which may be nil. The subsystem is presence because leases began as a part of it, and dashboards
// know the name.
func newMetrics(r prometheus.Registerer) metrics {
	return metrics{reaped: promauto.With(r).NewCounter(prometheus.CounterOpts{
		Namespace: "layercake", Subsystem: "presence", Name: "reaped_replicas_total",
		Help: "Replicas whose expired lease this replica removed.",
	})}
}
