package graph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/formatter"
)

// SDL returns the schema in the schema definition language, with its descriptions.
func SDL() string {
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(NewExecutableSchema(Config{}).Schema())
	return b.String()
}
