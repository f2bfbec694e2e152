package servertest

import (
	"context"
	"errors"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
)

// CloseCode reads until a replica closes the socket, and returns the code.
func CloseCode(t testing.TB, s *client.Socket) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	for {
		_, err := s.Receive(ctx)
		if closed := new(client.Closed); errors.As(err, &closed) {
			return int(closed.Code)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
