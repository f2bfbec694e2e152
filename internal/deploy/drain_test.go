package deploy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"layercake/internal/child"
	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

// visit is what one socket went through: it was closed, waited as it was told, and came back.
type visit struct {
	closed time.Time
	code   websocket.StatusCode
	pause  time.Duration // that it was told to wait
	back   time.Time     // the zero time unless it came back
	err    error         // for which it did not
}

// crowd is many sockets.
type crowd struct {
	url     string
	returns bool // to the same address
	sockets []client.GraphQLSocket
}

// gather opens n sockets, which have all been greeted when it returns.
func gather(t testing.TB, url string, n int, returns bool) *crowd {
	t.Helper()
	c := &crowd{url: url, returns: returns, sockets: make([]client.GraphQLSocket, n)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*pgtest.Patience)
	defer cancel()
	opening, ctx := errgroup.WithContext(ctx)
	opening.SetLimit(20)
	for i := range c.sockets {
		opening.Go(func() (err error) {
			c.sockets[i], err = client.Dialer{}.GraphQL(ctx, url)
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// watch returns what happened to the sockets once all have been closed and, if they do, have come back.
func (c *crowd) watch(ctx context.Context) []visit {
	visits := make([]visit, len(c.sockets))
	var watching sync.WaitGroup
	for i, socket := range c.sockets {
		watching.Go(func() {
			v := &visits[i]
			v.code, v.pause = untilClosed(ctx, socket)
			v.closed = time.Now()
			if !c.returns {
				return
			}
			select {
			case <-time.After(v.pause):
			case <-ctx.Done():
			}
			if socket, v.err = (client.Dialer{}).GraphQL(ctx, c.url); v.err == nil {
				v.back = time.Now()
				socket.CloseNow()
			}
		})
	}
	watching.Wait()
	return visits
}

// untilClosed returns how a socket was closed, and how long it was told to wait.
func untilClosed(ctx context.Context, socket client.GraphQLSocket) (websocket.StatusCode, time.Duration) {
	defer socket.CloseNow()
	for {
		_, err := socket.Next(ctx) // it answers pings, and nothing else comes
		var closed *client.Closed
		switch {
		case errors.As(err, &closed):
			return closed.Code, closed.RetryAfter
		case err != nil:
			return -1, 0
		}
	}
}

// perBucket counts sorted times by their distance from the first.
func perBucket(times []time.Time, width time.Duration) []int {
	var counts []int
	for _, at := range times {
		n := int(at.Sub(times[0]) / width)
		for len(counts) <= n {
			counts = append(counts, 0)
		}
		counts[n]++
	}
	return counts
}

// closes are sorted.
func closes(visits []visit) (times []time.Time) {
	for _, v := range visits {
		times = append(times, v.closed)
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// inOrder demands that every socket was told to come back later.
func inOrder(t testing.TB, visits []visit) {
	t.Helper()
	wrong := 0
	for _, v := range visits {
		if v.code != websocket.StatusServiceRestart || v.pause < 100*time.Millisecond || v.pause > 2*time.Second {
			if wrong++; wrong <= 5 {
				t.Errorf("closed with %d, told to wait %v: want 1012, and up to two seconds", v.code, v.pause)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d sockets were not closed in order", wrong, len(visits))
	}
}

// Neither the replica that leaves nor haproxy sends everybody away at once, so nobody else is overrun.
func TestSocketsOfADrainingReplicaComeBackBitByBit(t *testing.T) {
	t.Parallel()
	// A fifth of it is for haproxy to notice, which looks twice a second.
	const sockets, drain = 300, 8 * time.Second
	d := deploy(t, drains(drain))
	d.stop(1)
	d.stop(2)
	c := gather(t, d.url, sockets, true)
	d.start(1)
	d.start(2)

	ctx, cancel := context.WithTimeout(t.Context(), 2*pgtest.Patience)
	defer cancel()
	visits := make(chan []visit, 1)
	go func() { visits <- c.watch(ctx) }()
	d.stop(0)
	all := <-visits
	inOrder(t, all)
	var back []time.Time
	for _, v := range all {
		if v.err != nil {
			t.Errorf("coming back: %v", v.err)
			continue
		}
		back = append(back, v.back)
	}
	if len(back) < sockets {
		t.Fatalf("%d of %d sockets came back at their first attempt", len(back), sockets)
	}
	slices.SortFunc(back, time.Time.Compare)
	const width = 500 * time.Millisecond
	closed, returned := perBucket(closes(all), width), perBucket(back, width)
	span := back[len(back)-1].Sub(back[0])
	mean := float64(sockets) / span.Seconds()
	peak := float64(slices.Max(returned)) / width.Seconds()
	t.Logf("closed per %v: %v", width, closed)
	t.Logf("back per %v: %v; mean %.0f/s, peak %.0f/s, %.1f times the mean", width, returned, mean, peak, peak/mean)
	// A machine that is slow makes it longer, never shorter.
	if least := drain * 4 / 5 / 2; span < least {
		t.Errorf("all sockets came back within %v, want more than %v", span, least)
	}
}

// BenchmarkDrain stops a process with many sockets as a machine does, by SIGTERM, and shows when they are closed. Its figures are
// how long the replica says that it is not ready before it closes the first one, and how long all closes take.
func BenchmarkDrain(b *testing.B) {
	program := program(b)
	for _, sockets := range []int{300, 2000} {
		b.Run(fmt.Sprintf("%d sockets", sockets), func(b *testing.B) {
			var notice, spread time.Duration
			for b.Loop() {
				stopped, all := drainProcess(b, program, sockets)
				inOrder(b, all)
				times := closes(all)
				b.Logf("closed per 100ms: %v", perBucket(times, 100*time.Millisecond))
				notice += times[0].Sub(stopped)
				spread += times[len(times)-1].Sub(times[0])
			}
			b.ReportMetric(notice.Seconds()/float64(b.N), "s-until-first")
			b.ReportMetric(spread.Seconds()/float64(b.N), "s-first-to-last")
		})
	}
}

// program builds the program, and returns where it is until the test ends.
func program(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layercake")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/layercake").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// drainProcess returns when a replica with sockets was seen to be not ready after SIGTERM, and what happened to the sockets.
func drainProcess(b *testing.B, program string, sockets int) (time.Time, []visit) {
	b.Helper()
	cmd := exec.Command(program, "serve", "--http-addr=127.0.0.1:0", "--admin-addr=", "--database-url="+pgtest.New(b))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	if err := child.Start(cmd, syscall.SIGKILL, func(err error) { ended <- err }); err != nil {
		b.Fatal(err)
	}
	url := servingURL(stderr)
	if url == "" {
		b.Fatalf("the replica did not start: %v", <-ended)
	}
	c := gather(b, url, sockets, false)
	ctx, cancel := context.WithTimeout(b.Context(), pgtest.Patience)
	defer cancel()
	visits := make(chan []visit, 1)
	go func() { visits <- c.watch(ctx) }()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	for status := http.StatusOK; status == http.StatusOK; {
		answer, err := client.Get(ctx, url+"/health/ready")
		if err != nil {
			b.Fatal(err)
		}
		status = answer.Status
	}
	unready := time.Now()
	all := <-visits
	if err := <-ended; err != nil {
		b.Errorf("the replica ended with %v", err)
	}
	return unready, all
}

var serving = regexp.MustCompile(`msg=serving .*url=(\S+)`)

// servingURL reads a replica's log until it says where it serves, and drops the rest.
func servingURL(log io.ReadCloser) string {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if found := serving.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
			return found[1]
		}
	}
	return ""
}
