package deploy_test

import (
	"os"
	"testing"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if servertest.IsProcess() {
		os.Exit(servertest.RunProcess())
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}
