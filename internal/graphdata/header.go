package graphdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"layercake/internal/db"
	"layercake/internal/layered"

	"github.com/jackc/pgx/v5"
)

// The functions of this file are statements of a transaction that holds the lock of the project's head.

// Result is what a build made of a graph.
type Result struct {
	Content     Content
	Layers      []layered.Layer
	Recipe      string          // hash of what it was built from
	Ingredients json.RawMessage // what the recipe is made of; may be nil
	Metadata    json.RawMessage // what the steps of the build did; may be nil
}

// ErrContentGone is the error of Finish when the clean-up removed the content since it was written. The build has to be repeated.
var ErrContentGone = errors.New("the content was removed before a graph referred to it")

// Finish puts the result of a build in the place of a graph's former content, and sets its state to completed. Errors: the fault NotFound,
// and ErrContentGone.
func Finish(ctx context.Context, q *db.Queries, graphID int32, r Result) (Graph, error) {
	before, err := graphOf(q.GetGraph(ctx, graphID))
	if err != nil {
		return Graph{}, err
	}
	if _, err := q.LockContent(ctx, r.Content.ID); errors.Is(err, pgx.ErrNoRows) {
		return Graph{}, ErrContentGone
	} else if err != nil {
		return Graph{}, fmt.Errorf("lock a content: %w", err)
	}
	if before.ContentID != nil && *before.ContentID != r.Content.ID {
		if err := q.TouchContent(ctx, *before.ContentID); err != nil {
			return Graph{}, fmt.Errorf("keep the former content for its readers: %w", err)
		}
	}
	if err := putLayers(ctx, q, graphID, r.Layers); err != nil {
		return Graph{}, err
	}
	return graphOf(q.FinishGraph(ctx, db.FinishGraphParams{
		ID: graphID, ContentID: r.Content.ID, ContentHash: r.Content.Hash, Recipe: r.Recipe, Ingredients: r.Ingredients,
		NodeCount: r.Content.Nodes, EdgeCount: r.Content.Edges, Metadata: r.Metadata,
	}))
}

// putLayers makes layers those of a graph. One that was there keeps its integer id.
func putLayers(ctx context.Context, q *db.Queries, graphID int32, layers []layered.Layer) error {
	p := db.UpsertLayersParams{GraphID: graphID, Ordinals: []int32{}, LayerIds: []string{}, Names: []string{}, Properties: []string{}}
	seen := make(map[string]bool, len(layers))
	for _, l := range layers {
		if seen[l.ID] { // one statement must not write a row twice
			continue
		}
		seen[l.ID] = true
		p.Ordinals = append(p.Ordinals, int32(len(p.Ordinals)))
		p.LayerIds, p.Names, p.Properties = append(p.LayerIds, l.ID), append(p.Names, l.Label), append(p.Properties, properties(l))
	}
	if err := q.DeleteOtherLayers(ctx, db.DeleteOtherLayersParams{GraphID: graphID, LayerIds: p.LayerIds}); err != nil {
		return fmt.Errorf("remove layers: %w", err)
	}
	if len(p.LayerIds) == 0 {
		return nil
	}
	if err := q.UpsertLayers(ctx, p); err != nil {
		return fmt.Errorf("write layers: %w", err)
	}
	return nil
}

// properties returns the colours of a layer as a JSON object, or "" when it has none.
func properties(l layered.Layer) string {
	if l.Background == "" && l.Border == "" && l.Text == "" {
		return ""
	}
	body, _ := json.Marshal(struct { //nolint:errchkjson // texts
		Background string `json:"background_color,omitempty"`
		Border     string `json:"border_color,omitempty"`
		Text       string `json:"text_color,omitempty"`
	}{l.Background, l.Border, l.Text})
	return string(body)
}
