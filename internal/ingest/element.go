package ingest

import (
	"encoding/json"

	"layercake/internal/layered"
)

// NodeJSON stands in.
func NodeJSON(n layered.Node) json.RawMessage { b, _ := json.Marshal(n); return b }

// EdgeJSON stands in.
func EdgeJSON(e layered.Edge) json.RawMessage { b, _ := json.Marshal(e); return b }
