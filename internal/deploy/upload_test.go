package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"layercake/internal/child"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// The program is killed while it takes an upload. Whoever sends sees the connection break, nobody sees a data source, and the clean-up of
// another replica removes what had been stored. Sent again to that one, the upload is there.
func TestProgramIsKilledInAnUpload(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	conn := pgtest.Connect(t, database)
	other := servertest.StartOn(t, database, 1, func(c *server.Config) { c.CleanUp = 20 * time.Millisecond })[0]
	cmd := exec.Command(program(t), "serve", "--http-addr=127.0.0.1:0", "--admin-addr=", "--database-url="+database)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	if err := child.Start(cmd, syscall.SIGKILL, func(err error) { ended <- err }); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	url := servingURL(stderr)
	if url == "" {
		t.Fatalf("the program did not start: %v", <-ended)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	body := strings.NewReader(`{"query":"mutation { createProject(input: {name: \"Project\"}) { id } }"}`)
	created, err := client.Post(url+"/graphql", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	_ = created.Body.Close()

	half := "id,label\n" + strings.Repeat("a,Alpha\n", 100_000)
	const route = "/api/projects/1/data-sources?op_id=once"
	host := strings.TrimPrefix(url, "http://")
	upload, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer upload.Close()
	_ = upload.SetDeadline(time.Now().Add(pgtest.Patience))
	_, err = fmt.Fprintf(upload, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n"+
		"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"nodes.csv\"\r\n\r\n%s", route, host, 2*len(half), half)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.AwaitCount(t, conn, len(half)/(256<<10), "SELECT count(*) FROM file_chunks")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the program ended before it was killed")
	}
	if text, err := io.ReadAll(upload); len(text) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("half an upload is answered with %q, %v", text, err)
	}
	const seen = "SELECT (SELECT count(*) FROM data_sources) + (SELECT count(*) FROM events)"
	if n := pgtest.Count(t, conn, seen); n != 0 {
		t.Errorf("%d data sources and events are there", n)
	}
	pgtest.Exec(t, conn, "UPDATE files SET touched_at = touched_at - interval '11 minutes'")
	pgtest.AwaitCount(t, conn, 0, "SELECT (SELECT count(*) FROM files) + (SELECT count(*) FROM file_chunks)")

	var again strings.Builder
	parts := multipart.NewWriter(&again)
	file, err := parts.CreateFormFile("file", "nodes.csv")
	if err == nil {
		_, err = io.WriteString(file, "id,label\na,Alpha\n")
	}
	if err := errors.Join(err, parts.Close()); err != nil {
		t.Fatal(err)
	}
	answer, err := client.Post(other.URL+route, parts.FormDataContentType(), strings.NewReader(again.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM data_sources WHERE status = 'active'"); answer.StatusCode != http.StatusCreated || n != 1 {
		t.Errorf("sent again to another replica: %s, %d data sources", answer.Status, n)
	}
}
