package mcpserver_test

import (
	"os"
	"testing"

	"layercake/internal/mcpserver"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if servertest.IsProcess() {
		os.Exit(servertest.RunProcess())
	}
	mcpserver.ShortenAnswerTime()
	goleak.VerifyTestMain(pgtest.Main(m))
}
