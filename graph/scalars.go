package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
)

// MarshalDateTime writes a time in the format that clients know.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(plan.FormatTime(t))) })
}

// UnmarshalDateTime reads an RFC 3339 time of at most microseconds, which is what the database can compare.
func UnmarshalDateTime(v any) (time.Time, error) {
	text, ok := v.(string)
	var t time.Time
	if !ok || strings.Contains(text, ",") || t.UnmarshalText([]byte(text)) != nil { // the library takes commas for points
		return time.Time{}, fmt.Errorf("cannot use %s as DateTime: it is an RFC 3339 text with an offset, such as "+
			"2025-10-12T09:30:00.123456+00:00", describe(v))
	}
	if _, fraction, _ := strings.Cut(text, "."); digits(fraction) > 6 {
		return time.Time{}, fmt.Errorf("cannot use %s as DateTime: it has more than microseconds", describe(v))
	}
	return t, nil
}

// digits returns the number of digits at the beginning of a text.
func digits(text string) int { return len(text) - len(strings.TrimLeft(text, "0123456789")) }

// MarshalRawJSON writes encoded JSON unchanged, and null when there is none.
func MarshalRawJSON(v json.RawMessage) graphql.Marshaler {
	if len(v) == 0 {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(v) })
}

// UnmarshalRawJSON accepts any value of a document or of its variables.
func UnmarshalRawJSON(v any) (json.RawMessage, error) { return json.Marshal(v) }

// MarshalInt writes a number where the schema has an Int, as MarshalInt64 does.
func MarshalInt(v int) graphql.ContextMarshaler { return MarshalInt64(int64(v)) }

// UnmarshalInt reads what MarshalInt writes.
func UnmarshalInt(_ context.Context, v any) (int, error) { return graphql.UnmarshalInt(v) }

// MarshalInt64 writes a number where the schema has an Int. It fails when the number does not fit the 32 bits of an Int.
func MarshalInt64(v int64) graphql.ContextMarshaler {
	return graphql.ContextWriterFunc(func(_ context.Context, w io.Writer) error {
		if v < math.MinInt32 || v > math.MaxInt32 {
			return fmt.Errorf("%d does not fit an Int of 32 bits", v)
		}
		_, err := io.WriteString(w, strconv.FormatInt(v, 10))
		return err
	})
}

// UnmarshalInt64 reads what MarshalInt64 writes.
func UnmarshalInt64(_ context.Context, v any) (int64, error) { return graphql.UnmarshalInt64(v) }
