package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/plan"
)

// Change replaces parts of a source. What its nodes show follows in the same change. A file of another format has another extension; the
// kind stays. A file that cannot be used is refused, and the former one stays.
//
// Faults: NotFound for the source; BadRequest for texts and the file; those of plan.Service.Change and of the reader.
func (s *Service) Change(ctx context.Context, access auth.Access, id int32, u Update, r Request) (Source, error) {
	src, err := s.toChange(ctx, access, id)
	if err != nil {
		return Source{}, err
	}
	texts, err := src.texts(u)
	if err != nil {
		return Source{}, err
	}
	asked := requested{What: "change", ID: id, Name: u.Name, Description: u.Description, Filename: u.Filename}
	if u.Content == nil {
		return s.rewrite(ctx, access, src, r, asked, func(ctx context.Context, tx plan.Tx) error {
			return updated(tx.UpdateDataSource(ctx, texts))
		})
	}
	replaced, err := s.replace(ctx, access, src, u, r, asked, texts)
	s.metrics.uploaded(err)
	return replaced, err
}

// toChange returns a source that the caller may change.
func (s *Service) toChange(ctx context.Context, access auth.Access, id int32) (Source, error) {
	if err := access.May(auth.Edit); err != nil {
		return Source{}, err
	}
	return s.Get(ctx, access, id)
}

// texts returns what a change makes of the texts of a source.
func (s Source) texts(u Update) (texts db.UpdateDataSourceParams, err error) {
	texts = db.UpdateDataSourceParams{ID: s.ID, ProjectID: s.ProjectID}
	if u.Name != nil {
		name, err := cleanName(*u.Name)
		if err != nil {
			return texts, err
		}
		texts.Name = &name
	}
	if u.Description != nil {
		description, err := cleanDescription(u.Description)
		if err != nil {
			return texts, err
		}
		texts.Description = cmp.Or(description, new(string)) // a blank one removes it
	}
	if u.Filename == nil {
		return texts, nil
	}
	filename, err := CleanFilename(*u.Filename)
	if err != nil {
		return texts, err
	}
	format, err := ingest.FormatOf(filename)
	if err != nil {
		return texts, err
	}
	if u.Content == nil && format != s.Format {
		return texts, fault.New(fault.BadRequest, fmt.Sprintf("The data source has a %s file: another extension needs another file", s.Format))
	}
	texts.Filename = &filename
	return texts, ingest.Allowed(format, s.Kind)
}

// replace puts a file in the place of the former one.
func (s *Service) replace(
	ctx context.Context, access auth.Access, src Source, u Update, r Request, asked requested, texts db.UpdateDataSourceParams,
) (Source, error) {
	file := Upload{Name: src.Name, Filename: *cmp.Or(texts.Filename, &src.Filename), Kind: src.Kind, Content: u.Content}
	file, err := file.checked()
	if err != nil {
		return Source{}, err
	}
	in := s.newIntake(src.ProjectID)
	got, err := in.take(ctx, file)
	if err == nil && got.bad != nil {
		err = fault.From(got.bad).With("filename", got.filename)
	}
	if err == nil {
		asked.SHA256 = got.sha256
		src, err = s.rewrite(ctx, access, src, r, asked, func(ctx context.Context, tx plan.Tx) error {
			if err := holdFiles(ctx, tx.Queries, in.files, got.size); err != nil {
				return err
			}
			if err := updated(tx.UpdateDataSource(ctx, texts)); err != nil {
				return err
			}
			return updated(tx.UpdateDataSourceFile(ctx, got.update(src, nil)))
		})
	}
	if err != nil {
		s.forget(ctx, in.files)
		return Source{}, err
	}
	return src, nil
}

// Reprocess reads the stored file again. When it cannot be used any more, the source and its nodes say so, and the fault is returned.
func (s *Service) Reprocess(ctx context.Context, access auth.Access, id int32, r Request) (Source, error) {
	src, err := s.toChange(ctx, access, id)
	if err != nil {
		return Source{}, err
	}
	got := received{
		file: src.FileID, filename: src.Filename, format: src.Format, kind: src.Kind, size: src.Size, sha256: src.SHA256,
	}
	file := &watched{r: s.Open(ctx, src)}
	got.summary, err = ingest.Scan(file, got.format, got.kind, ingest.DefaultLimits())
	switch {
	case file.err != nil:
		return Source{}, file.err
	case err != nil && !errors.As(err, &got.bad):
		return Source{}, fmt.Errorf("read data source %d: %w", id, err)
	}
	src, err = s.rewrite(ctx, access, src, r, requested{What: "reprocess", ID: id}, func(ctx context.Context, tx plan.Tx) error {
		n, err := tx.UpdateDataSourceFile(ctx, got.update(src, &src.FileID))
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "The file of the data source was replaced meanwhile")
		}
		return err
	})
	if err == nil && got.bad != nil {
		return src, fault.From(got.bad).With("filename", src.Filename).With("dataSourceId", src.ID)
	}
	return src, err
}

// update returns what a file makes of a record. Expected is the file that the record must have, nil for any.
func (r received) update(src Source, expected *int64) db.UpdateDataSourceFileParams {
	total, list := r.problems()
	return db.UpdateDataSourceFileParams{
		ID: src.ID, ProjectID: src.ProjectID, Filename: r.filename, Format: string(r.format), Status: r.status(), ErrorMessage: r.message(),
		FileID: r.file, Size: r.size, Sha256: r.sha256, RowCount: int32(r.summary.Rows), ProblemCount: total, Problems: problemsJSON(list),
		Marks: r.summary.Marks, ExpectedFile: expected,
	}
}

// rewrite changes the record of a source, and what its nodes show, in one change.
func (s *Service) rewrite(
	ctx context.Context, access auth.Access, src Source, r Request, asked requested, write func(context.Context, plan.Tx) error,
) (Source, error) {
	c := r.change(asked, func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		if err := write(ctx, tx); err != nil {
			return nil, err
		}
		row, err := tx.GetDataSource(ctx, src.ID)
		if err != nil {
			return nil, fmt.Errorf("read the changed data source: %w", err)
		}
		nodes, err := nodesOf(ctx, tx.Queries, src.ProjectID, src.ID)
		if err != nil {
			return nil, err
		}
		edits := make([]plan.Edit, len(nodes))
		for i, id := range nodes {
			edits[i] = plan.SetExecution{
				NodeID: id, Execution: plan.SourceExecution(row.ID, row.Filename, row.Status, row.ProcessedAt, row.ErrorMessage),
			}
		}
		return edits, nil
	})
	if _, err := s.plans.Change(ctx, access, remembered(c, asked)); err != nil {
		return Source{}, err
	}
	return s.Get(ctx, access, src.ID)
}

// updated is the fault for a record that somebody deleted meanwhile.
func updated(n int64, err error) error {
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// Delete removes a source with its nodes and their edges, in one change. Its file goes with the next clean-up. A repeat under the same
// operation id succeeds.
func (s *Service) Delete(ctx context.Context, access auth.Access, id int32, r Request) error {
	asked := requested{What: "delete", ID: id}
	src, err := s.toChange(ctx, access, id)
	if fault.Is(err, fault.NotFound) {
		return s.Deleted(ctx, access.Actor(), id, r, err)
	}
	if err != nil {
		return err
	}
	c := r.change(asked, func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		if err := updated(tx.DeleteDataSource(ctx, db.DeleteDataSourceParams{ID: id, ProjectID: src.ProjectID})); err != nil {
			return nil, err
		}
		nodes, err := nodesOf(ctx, tx.Queries, src.ProjectID, id)
		if err != nil {
			return nil, err
		}
		edits := make([]plan.Edit, len(nodes))
		for i, node := range nodes {
			edits[i] = plan.DeleteNode{ID: node}
		}
		return edits, nil
	})
	_, err = s.plans.Change(ctx, access, remembered(c, asked))
	if fault.Is(err, fault.NotFound) { // it went since it was read, perhaps by the same request
		return s.Deleted(ctx, access.Actor(), id, r, err)
	}
	return err
}

// Deleted returns nil when a source is missing because the same request of the same actor deleted it before, else the fault that says so.
func (s *Service) Deleted(ctx context.Context, actor auth.Actor, id int32, r Request, missing error) error {
	is, err := s.plans.Repeated(ctx, actor, r.OpID, remembered(plan.Change{}, requested{What: "delete", ID: id}).Action)
	switch {
	case err != nil:
		return err
	case is:
		return nil
	}
	return missing
}

// nodesOf returns the nodes of a plan that name a source.
func nodesOf(ctx context.Context, q *db.Queries, project, id int32) (nodes []string, err error) {
	rows, err := q.ListNodesOfDataSources(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("list nodes of a data source: %w", err)
	}
	for _, row := range rows {
		named := plan.Node{NodeType: plan.DataSourceNode, Config: `{"dataSourceId":` + row.DataSourceID + `}`}.DataSourceID()
		if named == int64(id) {
			nodes = append(nodes, row.ID)
		}
	}
	return nodes, nil
}
