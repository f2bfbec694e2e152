package graph

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"layercake/internal/budget"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

func TestWhoAcceptsGzip(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"gzip": true, "GZIP": true, "x-gzip": true, "gzip, deflate, br, zstd": true, "br;q=1.0, gzip;q=0.8, *;q=0.1": true, "*": true, "gzip;q=0.001": true,
		"br, *;q=0.5": true, "gzip, *;q=0": true,
		"": false, "identity": false, "gzip;q=0": false, "gzip; q=0.0": false, "*;q=0": false, "br": false, "gzip;q=0, *": false, "*, gzip;q=0": false,
		"gzipped": false, "/": false,
	} {
		if got := acceptsGzip([]string{header}); got != want {
			t.Errorf("%q: %t", header, got)
		}
	}
	if !acceptsGzip([]string{"br", "gzip"}) || acceptsGzip(nil) {
		t.Error("lines of a header, or none, mean something else")
	}
}

// An answer with a secret is known by the fields that are asked for, wherever the document has them and whatever it calls them.
func TestAnswersWithSecrets(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]bool{
		`{ projects { id } }`: false, `{ login: projects { id } }`: false, `{ projects { login } }`: false,
		`mutation { a: login { sessionId } }`: true, `mutation { register { user { id } } }`: true, `mutation { createToken { secret } }`: true,
		`mutation { rotateToken { secret } }`: true, `{ tokens { id } projects { id } }`: true, `mutation { revokeToken }`: true,
		`mutation { ...f } fragment f on Mutation { ... on Mutation { ... { x: login { sessionId } } } }`: true,
		`mutation { login @skip(if: true) { sessionId } __typename }`:                                     false,
	} {
		doc, err := parser.ParseQuery(&ast.Source{Input: document})
		if err != nil {
			t.Fatal(err)
		}
		for _, fragment := range doc.Fragments {
			for spread := range doc.Operations[0].SelectionSet {
				if s, ok := doc.Operations[0].SelectionSet[spread].(*ast.FragmentSpread); ok && s.Name == fragment.Name {
					s.Definition = fragment // as validation does
				}
			}
		}
		if got := holdsSecret(&graphql.OperationContext{Doc: doc, Operation: doc.Operations[0]}); got != want {
			t.Errorf("%s: %t", document, got)
		}
	}
}

// A request takes memory for the compressed answer before it is made, and keeps no more than that. Without memory, or without a writer in
// time, it keeps what it had, and the answer is sent as it is.
func TestPackingTakesMemory(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for n := range 10_000 {
		fmt.Fprintf(&text, `{"id":"node_%d","position":{"x":%d,"y":%d}},`, n, n*17%991, n*31%997)
	}
	parts := [][]byte{dataBefore, []byte(text.String()), dataAfter}
	size := int64(sizeOf(parts))
	b := budget.New(budget.Config{Memory: 16 << 20, Patience: time.Millisecond})
	held := b.Open(netip.MustParsePrefix("203.0.113.7/32"))
	defer held.Close()
	ctx := budget.With(t.Context(), held)
	p := newPacker()

	if err := held.Resize(ctx, size); err != nil {
		t.Fatal(err)
	}
	packed := p.pack(ctx, parts)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := io.ReadAll(z); err != nil || !bytes.Equal(again, bytes.Join(parts, nil)) {
		t.Errorf("%d bytes come out as %d, %v", size, len(again), err)
	}
	if got := b.Taken(); got < int64(len(packed)) || got > size/2 || len(p) != cap(p) {
		t.Errorf("%d bytes were packed into %d and take %d; %d of %d writers are left", size, len(packed), got, len(p), cap(p))
	}

	if packed := p.pack(ctx, [][]byte{make([]byte, largeEnough-1)}); packed != nil {
		t.Error("a small answer was packed")
	}

	if err := held.Resize(ctx, 6<<20); err != nil { // all that one address may have
		t.Fatal(err)
	}
	if packed := p.pack(ctx, parts); packed != nil || b.Taken() != 6<<20 {
		t.Errorf("without memory: %d bytes, %d are taken", len(packed), b.Taken())
	}

	if err := held.Resize(ctx, size); err != nil {
		t.Fatal(err)
	}
	gone, hangUp := context.WithCancel(ctx)
	hangUp()
	if packed := make(packer).pack(gone, parts); packed != nil || b.Taken() != size {
		t.Errorf("without a writer: %d bytes, %d are taken", len(packed), b.Taken())
	}
}
