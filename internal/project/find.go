package project

import (
	"context"
	"fmt"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
)

// Query asks for a page of projects.
type Query struct {
	Search string // text in the name or the description, in whatever case; blank for all
	Limit  int
	After  string // Next of the page before; "" for the first page
}

// Found is a page of projects.
type Found struct {
	Projects []Project // the one whose name or plan changed last comes first
	Next     string    // place to read on from; "" when there are no more
}

// The limits of a Query.
const (
	MaxFound  = 200 // projects in a page
	maxSearch = 100 // characters of the text
)

// Find returns a page of the projects in reach, those first whose name or plan changed last. Who reads page after page while projects
// change gets none twice, and each that stays as it is; what changes meanwhile moves to the first page. Fault: BadRequest for the query.
func (s *Service) Find(ctx context.Context, reach auth.Reach, query Query) (Found, error) {
	if query.Limit < 1 || query.Limit > MaxFound {
		return Found{}, fault.New(fault.BadRequest, "The limit is not one of a page").
			With("detail", map[string]any{"least": 1, "limit": MaxFound, "value": query.Limit})
	}
	params := db.ListRecentProjectsParams{
		Search: strings.TrimSpace(query.Search), Account: reach.Account(), Single: reach.Only(), Most: int32(query.Limit) + 1,
	}
	if err := fault.CheckText("Search", params.Search, maxSearch); err != nil {
		return Found{}, err
	}
	if query.After != "" {
		var micros int64
		_, err := fmt.Sscanf(query.After, "%d.%d", &micros, &params.Below)
		if err != nil || micros < 0 || place(micros, params.Below) != query.After {
			return Found{}, fault.New(fault.BadRequest, "Cursor is not valid").With("detail", query.After)
		}
		params.Before = new(time.UnixMicro(micros))
	}
	var rows []db.ListRecentProjectsRow
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ListRecentProjects(ctx, params)
		return err
	})
	if err != nil {
		return Found{}, fmt.Errorf("find projects: %w", err)
	}
	found := Found{Projects: make([]Project, 0, query.Limit)}
	if len(rows) > query.Limit {
		rows = rows[:query.Limit]
		last := rows[query.Limit-1]
		found.Next = place(last.ChangedAt.UnixMicro(), last.ID)
	}
	for _, row := range rows {
		found.Projects = append(found.Projects, Project{
			ID: row.ID, Name: row.Name, Description: row.Description, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		})
	}
	return found, nil
}

// place names the project that a page ends with: when it changed last, in microseconds, and its id.
func place(micros int64, id int32) string { return fmt.Sprintf("%d.%d", micros, id) }

// Live is who is in a project, and what last became of its plan.
type Live struct {
	People          int // different people who are in it
	Agents          int // different programs that are
	Connections     int // connections and guests of them all: two tabs are two
	PlanVersion     int64
	LastChangeAt    *time.Time // nil before the first change
	LastChangeBy    *string    // name of who made it
	ChangesLastHour int
}

// Live returns who is in some projects, and what last became of their plans, in one query, by project id. Projects that do not exist are
// missing.
func (s *Service) Live(ctx context.Context, accesses []auth.Access) (map[int32]Live, error) {
	ids, err := auth.Projects(accesses, auth.View)
	if err != nil {
		return nil, err
	}
	live := make(map[int32]Live, len(ids))
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListLive(ctx, ids)
		for _, row := range rows {
			one := Live{
				People: int(row.People), Agents: int(row.Agents), Connections: int(row.Connections), PlanVersion: row.PlanVersion,
				ChangesLastHour: int(row.ChangesLastHour),
			}
			if row.PlanVersion > 0 {
				one.LastChangeAt, one.LastChangeBy = &row.ChangedAt, &row.ChangedBy
			}
			live[row.ProjectID] = one
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look who is in projects: %w", err)
	}
	return live, nil
}
