package plan

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// DataSourceID returns the id of the data source that a node names, or 0 for none. It may be larger than any that a source has.
func (n Node) DataSourceID() int64 {
	if n.NodeType != DataSourceNode {
		return 0
	}
	return dataSourceID([]byte(n.Config))
}

// dataSourceID returns the id that a config names. What is no whole number names none.
func dataSourceID(config []byte) int64 {
	var members map[string]json.RawMessage
	if json.Unmarshal(config, &members) != nil {
		return 0
	}
	var number float64
	text := members["dataSourceId"]
	if text == nil || json.Unmarshal(text, &number) != nil || number != math.Trunc(number) || number <= 0 {
		return 0
	}
	if id, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return id
	}
	if number <= math.MaxInt32 { // written as 3.0 or 3e0
		return int64(number)
	}
	return math.MaxInt64
}

// source adds the data source that a config, or a merge patch of one, names.
func (r *reads) source(config []byte) {
	if id := dataSourceID(config); id > 0 && id <= math.MaxInt32 {
		r.sources[int32(id)] = true
	}
}

// queueSources reads the states of data sources. Whoever writes these holds the head's lock, too.
func (d *draft) queueSources(b *pgx.Batch, project int32, ids map[int32]bool) {
	b.Queue(db.ListSourceStates, slices.Sorted(maps.Keys(ids)), project).Query(func(rows pgx.Rows) error {
		d.sources = make(map[int32]*Execution, len(ids))
		return each(rows, func(row db.ListSourceStatesRow) {
			d.sources[row.ID] = SourceExecution(row.ID, row.Filename, row.Status, row.ProcessedAt, row.ErrorMessage)
		})
	})
}

// SourceExecution returns what the nodes of a data source show of it.
func SourceExecution(id int32, filename, status string, processedAt *time.Time, errorMessage *string) *Execution {
	e := &DataSourceExecution{DataSourceID: id, Filename: filename, Status: status, ExecutionState: status, ErrorMessage: errorMessage}
	if status == "active" {
		e.ExecutionState = "completed"
	}
	if processedAt != nil {
		e.ProcessedAt = new(FormatTime(*processedAt))
	}
	return &Execution{DataSource: e}
}

// sourceState returns the state of the data source that a node names: nil for none, and the fault for one that the project does not have.
func (d *draft) sourceState(n Node) (*Execution, error) {
	id := n.DataSourceID()
	if id == 0 {
		return nil, nil
	}
	var e *Execution
	if id <= math.MaxInt32 {
		e = d.sources[int32(id)]
	}
	if e == nil && !d.lenient {
		return nil, fault.New(fault.BadRequest, "The project has no such data source").With("detail", id)
	}
	return e, nil
}

// executionAfter returns the execution of a node that changes. It follows the data source that the node names, and the type of the node.
func (d *draft) executionAfter(before, after Node) (*Execution, error) {
	e := before.execution()
	if before.NodeType == after.NodeType && before.Config == after.Config {
		return e, nil
	}
	if before.DataSourceID() != after.DataSourceID() {
		return d.sourceState(after)
	}
	if !after.NodeType.takes(e) {
		return nil, nil
	}
	return e, nil
}
