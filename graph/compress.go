package graph

import (
	"bytes"
	"compress/gzip"
	"context"
	"mime"
	"runtime"
	"strings"
	"time"

	"layercake/internal/budget"

	"github.com/99designs/gqlgen/graphql"
)

// largeEnough is the size of an answer from which on it is compressed. A smaller one takes few packets anyway.
const largeEnough = 16 << 10

// packPatience is how long an answer waits to be compressed before it is sent as it is.
const packPatience = time.Second

// secretFields are the root fields whose answers hold a secret. They are never compressed: the size of a compressed answer tells whoever
// sees it, and can make the client ask, how much of their own text is like the secret beside it (BREACH).
var secretFields = map[string]bool{
	"login": true, "register": true, "redeemCode": true, "tokens": true, "createToken": true, "rotateToken": true, "revokeToken": true,
}

// holdsSecret reports whether an operation asks for a secret field, under whatever name.
func holdsSecret(op *graphql.OperationContext) bool {
	for _, field := range graphql.CollectFields(op, op.Operation.SelectionSet, []string{"Query", "Mutation"}) {
		if secretFields[field.Name] {
			return true
		}
	}
	return false
}

// acceptsGzip reports whether a client takes answers compressed by gzip.
func acceptsGzip(accept []string) bool {
	others := false
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		name, parameters, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		switch name {
		case "gzip", "x-gzip":
			return quality(parameters) > 0
		case "*":
			others = quality(parameters) > 0
		}
	}
	return others
}

// packer compresses answers, as many at once as half of the processors are, so that others find one. Its writers are all that there ever
// are, since each has 1 MB.
type packer chan *gzip.Writer

func newPacker() packer {
	p := make(packer, max(1, runtime.GOMAXPROCS(0)/2))
	for range cap(p) {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // it fails only for another level, and takes its memory when it is used
		p <- z
	}
	return p
}

// pack compresses an answer, whole, so that no writer waits for a client. The request takes memory for that before, and has that of the
// compressed answer afterwards. It returns nil, and holds what it held, for an answer that is small, and when there is no memory or no
// writer in time: then the answer is sent as it is.
func (p packer) pack(ctx context.Context, parts [][]byte) []byte {
	size := int64(sizeOf(parts))
	if size < largeEnough {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, packPatience)
	defer cancel()
	held := budget.From(ctx)
	if held.Take(ctx, size) != nil {
		return nil
	}
	var z *gzip.Writer
	select {
	case z = <-p:
	case <-ctx.Done():
		_ = held.Take(ctx, -size) // less than before, so it cannot fail
		return nil
	}
	defer func() {
		z.Reset(nil) // otherwise it would keep the answer
		p <- z
	}()
	var packed bytes.Buffer
	z.Reset(&packed)
	for _, part := range parts {
		_, _ = z.Write(part) // a buffer takes everything
	}
	_ = z.Close()
	_ = held.Resize(ctx, int64(packed.Cap())) // less than before, too: the caller drops the answer as it was
	return packed.Bytes()
}
