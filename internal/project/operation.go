package project

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// errRepeated ends a transaction that found its operation id taken.
var errRepeated = errors.New("the operation id is taken")

// createOnce makes a project unless the operation id has made one already. Of many at once under one operation id the first makes it: the
// others wait for its row of the operation id, take back what they did, and find it.
func (s *Service) createOnce(ctx context.Context, actor auth.Actor, in Input) (Project, error) {
	hash := in.hash()
	created, err := s.createdBy(ctx, actor, in.OpID, hash)
	if !errors.Is(err, pgx.ErrNoRows) {
		return created, err
	}
	err = s.db.Requests.InTx(ctx, func(q *db.Queries) error {
		row, err := insert(ctx, q, actor, in)
		if err != nil {
			return err
		}
		created = Project(row)
		n, err := q.InsertProjectOperation(ctx, db.InsertProjectOperationParams{
			OpActor: operator(actor), OpID: in.OpID, RequestHash: hash, ProjectID: row.ID,
		})
		if err == nil && n == 0 {
			err = errRepeated
		}
		return err
	})
	switch {
	case errors.Is(err, errRepeated):
		return s.createdBy(ctx, actor, in.OpID, hash)
	case err != nil:
		return Project{}, fmt.Errorf("create project: %w", err)
	}
	return created, nil
}

// operator returns among whose operation ids an actor's are unique. Those of a plan all callers without a credential share; here they would
// be those of the whole deployment, and two agents that know nothing of each other would get each other's project for a word such as
// "create-project". Agents may repeat a request in another session, so what counts is what lasts of them.
func operator(actor auth.Actor) string { return cmp.Or(actor.OpActor(), actor.LastingID) }

// createdBy returns the project that a request created before under an operation id. The error is pgx.ErrNoRows when none did.
func (s *Service) createdBy(ctx context.Context, actor auth.Actor, opID string, hash []byte) (Project, error) {
	var row db.GetProjectOperationRow
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetProjectOperation(ctx, db.GetProjectOperationParams{OpActor: operator(actor), OpID: opID})
		return err
	})
	switch {
	case err != nil:
		return Project{}, fmt.Errorf("look up the operation: %w", err)
	case !slices.Equal(row.RequestHash, hash):
		return Project{}, fault.New(fault.BadRequest, "Operation id was used for another request").With("opId", opID)
	case row.Name == nil:
		return Project{}, fault.New(fault.NotFound, "The project that this operation created was deleted").
			With("opId", opID).With("detail", row.ProjectID)
	}
	return Project{
		ID: row.ProjectID, Name: *row.Name, Description: row.Description, CreatedAt: *row.CreatedAt, UpdatedAt: *row.UpdatedAt,
	}, nil
}

// hash identifies the request. Replicas of other releases compute the same hash for a repeat, so the names in it never change.
func (in Input) hash() []byte {
	text, _ := json.Marshal(struct { // two texts can always be encoded
		Name        string  `json:"name"`
		Description *string `json:"description"`
	}{in.Name, in.Description})
	sum := sha256.Sum256(text)
	return sum[:]
}
