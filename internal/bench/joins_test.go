package bench_test

import (
	"bytes"
	"testing"

	"layercake/internal/bench"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

func TestJoins(t *testing.T) {
	t.Parallel()
	result, err := bench.Joins(t.Context(), bench.JoinsConfig{
		URLs: servertest.URLs(servertest.Start(t, 3, nil)), Rounds: 2, Together: 20, Sockets: 100, Each: 40,
		Within: pgtest.Patience, // other tests run, too
	})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := result.Write(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &table)
	if !result.OK() || result.Rounds != 2 || result.Answers.Count != 40 || result.Rosters.Count != 100 {
		t.Errorf("result = %+v, want 40 answers and 100 rosters", result)
	}
}
