package plan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

const (
	// checkpointSpacing is the number of versions from one checkpoint to the next.
	checkpointSpacing = 5000
	// maxCheckpoint is the size of the largest body that is written. A larger plan is walked to from further away.
	maxCheckpoint = 16 << 20
	// maxWritten is how many checkpoints a round of the clean-up writes: the other jobs wait meanwhile.
	maxWritten = 20
	// maxTried is how many versions a replica remembers for which it could not write a checkpoint.
	maxTried = 10_000
)

// What becomes of a checkpoint, in metrics.
const (
	checkpointWritten  = "written"
	checkpointTooLarge = "too_large"
	checkpointDamaged  = "damaged"
)

// checkpoints is what a service knows of checkpoints.
type checkpoints struct {
	spacing int64
	largest int // bytes of a body

	mu sync.Mutex
	// Versions that get no checkpoint from this replica: the plan is too large, or the log does not lead there. The two lists go together.
	triedProjects []int32
	triedVersions []int64
}

// loadCheckpoint sets the state to that of a checkpoint, or returns errDamaged.
func (s *state) loadCheckpoint(row pgx.Row) error {
	var body, sum []byte
	if err := row.Scan(&body, &sum); err != nil {
		return err
	}
	if actual := sha256.Sum256(body); !bytes.Equal(actual[:], sum) {
		return errDamaged
	}
	var read struct {
		Plan  description
		Nodes []Node
		Edges []Edge
	}
	if err := json.Unmarshal(body, &read); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	s.record = read.Plan
	s.nodes = slotsOf(read.Nodes, func(n *Node) string { return n.ID })
	s.edges = slotsOf(read.Edges, func(e *Edge) string { return e.ID })
	return nil
}

func slotsOf[T any](values []T, id func(*T) string) sequence[T] {
	s := make(sequence[T], len(values))
	for i := range values {
		s[i] = &slot[T]{id: id(&values[i]), value: &values[i]}
	}
	return s
}

// Checkpoint writes checkpoints where they are due, the newest first, so that each is near to the next one or to the current plan. It
// returns how many it wrote, also when some could not be written. While another replica lists what is due, it does nothing.
func (s *Service) Checkpoint(ctx context.Context) (written int64, err error) {
	var due []db.ListCheckpointsDueRow
	err = s.db.System.InTx(ctx, func(q *db.Queries) error {
		locked, err := q.TryLockCleanUp(ctx)
		if err != nil || !locked {
			return err
		}
		projects, versions := s.checkpoints.tried()
		due, err = q.ListCheckpointsDue(ctx, db.ListCheckpointsDueParams{
			Spacing: s.checkpoints.spacing, TriedProjects: projects, TriedVersions: versions, Most: maxWritten,
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list checkpoints that are due: %w", err)
	}
	var failures []error
	for _, d := range due {
		outcome, err := s.checkpoint(ctx, d.ProjectID, d.Version)
		if outcome != "" {
			s.metrics.checkpoints.WithLabelValues(outcome).Inc()
		}
		if outcome == checkpointWritten {
			written++
		}
		if outcome == checkpointTooLarge || errors.Is(err, errBrokenLog) {
			s.checkpoints.forgo(d.ProjectID, d.Version)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("version %d of project %d: %w", d.Version, d.ProjectID, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return written, errors.Join(failures...)
}

// checkpoint writes one, and returns what became of it: nothing when it is not needed any more.
func (s *Service) checkpoint(ctx context.Context, projectID int32, version int64) (outcome string, err error) {
	state, err := s.walk(ctx, s.db.System, projectID, version)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.BadRequest) { // trimmed, deleted or restored meanwhile
		return "", nil
	}
	if err != nil {
		return "", err
	}
	body := state.checkpoint(s.checkpoints.largest)
	if body == nil {
		return checkpointTooLarge, nil
	}
	sum := sha256.Sum256(body)
	var n int64
	err = s.db.System.Query(ctx, func(q *db.Queries) (err error) {
		n, err = q.InsertCheckpoint(ctx, db.InsertCheckpointParams{ProjectID: projectID, Version: version, Body: body, Sum: sum[:]})
		return err
	})
	if err != nil || n == 0 {
		return "", err
	}
	return checkpointWritten, nil
}

// checkpoint returns the body of a checkpoint, or nil when it would have more bytes than given.
func (s *state) checkpoint(most int) []byte {
	size := 0
	nodes, edges := s.nodes.texts(), s.edges.texts()
	for _, text := range slices.Concat(nodes, edges) {
		size += len(text)
	}
	if size > most {
		return nil
	}
	body := encode(struct {
		Plan  description       `json:"plan"`
		Nodes []json.RawMessage `json:"nodes"`
		Edges []json.RawMessage `json:"edges"`
	}{s.record, nodes, edges})
	if len(body) > most {
		return nil
	}
	return body
}

func (c *checkpoints) tried() (projects []int32, versions []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int32{}, c.triedProjects...), append([]int64{}, c.triedVersions...)
}

// forgo remembers that a version gets no checkpoint from this replica.
func (c *checkpoints) forgo(project int32, version int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.triedProjects) == maxTried {
		c.triedProjects, c.triedVersions = nil, nil
	}
	c.triedProjects = append(c.triedProjects, project)
	c.triedVersions = append(c.triedVersions, version)
}
