package fanout_test

import (
	"testing"

	"go.uber.org/goleak"

	"layercake/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
