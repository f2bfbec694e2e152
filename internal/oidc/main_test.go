package oidc_test

import (
	"testing"

	"layercake/internal/postgres/pgtest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
