package collab_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// resident returns the bytes of memory that a process holds, itself and not the files it maps.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("the memory of processes is not known here: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "RssAnon:"); found {
			kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kilobytes * 1024
		}
	}
	b.Fatal("no RssAnon")
	return 0
}

// thin is a client that takes next to nothing, so that thousands fit beside the server.
type thin struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialThin(b *testing.B, base string, project int) *thin {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET /ws/collaboration?project_id=%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n", project)
	t := &thin{conn: conn, in: bufio.NewReaderSize(conn, 1024)}
	response, err := http.ReadResponse(t.in, nil) //nolint:bodyclose // it has none
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("%v, %v", response, err)
	}
	return t
}

// send writes a text frame, masked with zeros.
func (t *thin) send(text string) error {
	frame := []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	_, err := t.conn.Write(append(frame, text...))
	return err
}

// next reads frames until one is a text, and returns it.
func (t *thin) next() ([]byte, error) {
	var text []byte
	for {
		var head [2]byte
		if _, err := readFull(t.in, head[:]); err != nil {
			return nil, err
		}
		size := int(head[1] & 0x7f)
		if size >= 126 {
			wide := make([]byte, map[int]int{126: 2, 127: 8}[size])
			if _, err := readFull(t.in, wide); err != nil {
				return nil, err
			}
			size = 0
			for _, b := range wide {
				size = size<<8 | int(b)
			}
		}
		payload := make([]byte, size)
		if _, err := readFull(t.in, payload); err != nil {
			return nil, err
		}
		if head[0]&0x0f == 0x9 { // a ping
			pong := append([]byte{0x8a, 0x80 | byte(size), 0, 0, 0, 0}, payload...)
			if _, err := t.conn.Write(pong); err != nil {
				return nil, err
			}
			continue
		}
		if text = append(text, payload...); head[0]&0x80 != 0 {
			return text, nil
		}
	}
}

func readFull(in *bufio.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = in.Read(p[n:])
		n += m
	}
	return n, err
}

func joinText(n int) string {
	return string(client.Join{
		UserID: fmt.Sprintf("user-%08d", n), UserName: "Anonymous User", AvatarColor: "#3b82f6", DocumentID: "project-global",
	}.Frame())
}

// BenchmarkIdleSockets measures what a socket takes that has joined and is quiet, 50 in a project.
func BenchmarkIdleSockets(b *testing.B) {
	const sockets, each = 5000, 50
	for b.Loop() {
		b.StopTimer()
		replica := servertest.StartProcess(b, pgtest.New(b))
		warm := newProject(b, replica.URL)
		for n := range 200 { // what the first sockets cost is not theirs alone
			joinAndStay(b, dialThin(b, replica.URL, warm), n)
		}
		settle(b)
		before := resident(b, replica.PID())
		b.StartTimer()
		project := 0
		for n := range sockets {
			if n%each == 0 {
				project = newProject(b, replica.URL)
			}
			joinAndStay(b, dialThin(b, replica.URL, project), n)
		}
		settle(b)
		b.StopTimer()
		b.ReportMetric((resident(b, replica.PID())-before)/sockets, "B/socket")
		b.StartTimer()
	}
}

// joinAndStay joins, and reads until the connection is closed.
func joinAndStay(b *testing.B, t *thin, n int) {
	b.Helper()
	if err := t.send(joinText(n)); err != nil {
		b.Fatal(err)
	}
	go func() {
		for {
			if _, err := t.next(); err != nil {
				return
			}
		}
	}()
}

// settle waits until the server has collected its garbage, which it does every two minutes at least. Memory that was freed
// is given back bit by bit.
func settle(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	<-ctx.Done()
}

// BenchmarkJoins measures how long so many people, who join at once on two replicas, take to see all others of their project.
func BenchmarkJoins(b *testing.B) {
	for _, each := range []int{50, 500} {
		b.Run(fmt.Sprintf("%d_in_a_project", each), func(b *testing.B) {
			const people = 2000
			for b.Loop() {
				b.StopTimer()
				database := pgtest.New(b)
				replicas := []*servertest.Process{servertest.StartProcess(b, database), servertest.StartProcess(b, database)}
				var clients []*thin
				project := 0
				for n := range people {
					if n%each == 0 {
						project = newProject(b, replicas[0].URL)
					}
					clients = append(clients, dialThin(b, replicas[n%2].URL, project))
				}
				var all sync.WaitGroup
				failed := make(chan error, people)
				before := processorTime(b, replicas)
				b.StartTimer()
				for n, c := range clients {
					all.Go(func() { failed <- c.joinAndSee(n, n-n%each, each) })
				}
				all.Wait()
				b.StopTimer()
				b.ReportMetric((processorTime(b, replicas)-before).Seconds()*1000/people, "server-ms/join")
				for range people {
					if err := <-failed; err != nil {
						b.Fatal(err)
					}
				}
				for _, c := range clients {
					_ = c.conn.Close()
				}
				b.StartTimer()
			}
		})
	}
}

// processorTime returns what replicas have used, which says more than the clock on a machine that others use, too.
func processorTime(b *testing.B, replicas []*servertest.Process) (sum time.Duration) {
	b.Helper()
	const tick = 10 * time.Millisecond // USER_HZ
	for _, r := range replicas {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.PID()))
		if err != nil {
			b.Skipf("the time of processes is not known here: %v", err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] { // user and system
			ticks, err := strconv.Atoi(field)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}

// joinAndSee returns when the client has seen so many users from the first on.
func (t *thin) joinAndSee(n, first, each int) error {
	if err := t.conn.SetDeadline(time.Now().Add(pgtest.Patience)); err != nil {
		return err
	}
	if err := t.send(joinText(n)); err != nil {
		return err
	}
	seen := make(map[string]bool, each)
	for len(seen) < each {
		text, err := t.next()
		if err != nil {
			return fmt.Errorf("after %d of %d people: %w", len(seen), each, err)
		}
		if bytes.HasPrefix(text, []byte(`{"type":"document_activity"`)) {
			continue
		}
		for rest := text; ; {
			_, after, found := bytes.Cut(rest, []byte(`"userId":"user-`))
			if !found {
				break
			}
			seen[string(after[:8])] = true
			rest = after[8:]
		}
	}
	if seen[fmt.Sprintf("%08d", first+each)] {
		return errors.New("somebody of another project is here")
	}
	return nil
}
