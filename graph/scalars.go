package graph

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
)

// MarshalDateTime writes a time as the wire wants it.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(plan.FormatTime(t))) })
}

// UnmarshalDateTime reads an RFC 3339 time.
func UnmarshalDateTime(v any) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, fmt.Errorf("a DateTime is an RFC 3339 text, not a %T", v)
	}
	return time.Parse(time.RFC3339Nano, text)
}

// MarshalRawJSON writes JSON as it is; nothing is null.
func MarshalRawJSON(v json.RawMessage) graphql.Marshaler {
	if len(v) == 0 {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(v) })
}

// UnmarshalRawJSON takes any value of a document or of its variables.
func UnmarshalRawJSON(v any) (json.RawMessage, error) { return json.Marshal(v) }
