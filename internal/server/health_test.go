package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// At the admin address, /health?verbose says what the database finds, and the status stays that of the replica.
func TestVerboseHealth(t *testing.T) {
	t.Parallel()
	database := pgtest.Server(t)
	replicas := servertest.StartOn(t, database.URL, 2, func(c *server.Config) { c.AdminAddr = "127.0.0.1:0" })
	diagnosis := func(url string) (int, map[string]string) {
		status, body := health(t, url+"/health?verbose")
		var answer struct {
			Diagnosis []struct{ Check, Status, Detail, Advice string }
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, d := range answer.Diagnosis {
			found[d.Check] = d.Status + ": " + d.Detail
		}
		return status, found
	}
	until(t, "both replicas in the diagnosis", func() bool {
		status, found := diagnosis(replicas[0].Admin)
		return status == http.StatusOK && strings.HasPrefix(found["replicas"], "ok: 2 live") && strings.HasPrefix(found["draining"], "ok")
	})
	openConsole(t, database.URL).text("SELECT layercake.drain($1, '0')::text", address(replicas[1]))
	until(t, "the other replica to be drained", func() bool {
		status, found := diagnosis(replicas[0].Admin)
		return status == http.StatusOK && found["draining"] == "warn: "+address(replicas[1])
	})
	if _, body := health(t, replicas[0].Admin+"/health"); strings.Contains(body, "diagnosis") {
		t.Errorf("nobody asked for a diagnosis: %s", body)
	}
	if _, body := health(t, replicas[0].URL+"/health?verbose"); strings.Contains(body, "diagnosis") {
		t.Errorf("clients get a diagnosis: %s", body)
	}

	database.Stop()
	began := time.Now()
	status, found := diagnosis(replicas[0].Admin)
	if status != http.StatusServiceUnavailable || found["database"] != "fail: the database does not answer" {
		t.Errorf("without a database: %d %v", status, found)
	}
	t.Logf("said so after %v", time.Since(began)) // the promise is 2 s; what never answers ends with the client's patience
}
