package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"layercake/internal/fanout"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

const epoch = postgres.Epoch("e-1")

func at(version int64) Cursor { return Cursor{Epoch: epoch, Version: version} }

func event(version int64) *Event {
	return sized(version, fmt.Appendf(nil, `{"version":%d}`, version))
}

// sized returns an event with a body.
func sized(version int64, body []byte) *Event { return &Event{At: at(version), Body: body} }

// loadedAt returns a feed that was born at a version.
func loadedAt(version int64) *feed {
	f := newFeed(1, maxTailBytes, new(atomic.Int64))
	f.begin(at(version))
	return f
}

func (f *feed) hear(version int64) need { return f.offer(at(version), event(version)) }

func wantVersion(t *testing.T, f *feed, want int64) {
	t.Helper()
	if p, _ := f.now(); p.at.Version != want {
		t.Errorf("version = %d, want %d", p.at.Version, want)
	}
}

func TestEventsApplyInOrderOnce(t *testing.T) {
	t.Parallel()
	f := loadedAt(10)
	for _, v := range []int64{11, 10, 11, 3} {
		if n := f.hear(v); n != nothing {
			t.Errorf("offer of %d asks for %v, want nothing", v, n)
		}
	}
	wantVersion(t, f, 11)
	if n := f.hear(13); n != toFill {
		t.Errorf("an event behind a gap asks for %v, want toFill", n)
	}
	wantVersion(t, f, 11)
	f.hear(12)
	wantVersion(t, f, 13)
	if len(f.ahead) != 0 {
		t.Errorf("%d events still wait", len(f.ahead))
	}
}

func TestHintAsksForTheLog(t *testing.T) {
	t.Parallel()
	f := loadedAt(10)
	if n := f.offer(at(11), nil); n != toFill {
		t.Errorf("a hint of the next event asks for %v, want toFill", n)
	}
	sent, behind := f.gap()
	if !behind {
		t.Fatal("the feed does not know that it is behind")
	}
	if applied, _, more := f.fill(sent, answer{head: at(11), events: []*Event{event(11)}}); applied != 1 || more {
		t.Errorf("fill applied %d, more %t", applied, more)
	}
	wantVersion(t, f, 11)
	if _, behind := f.gap(); behind {
		t.Error("the gap is still there")
	}
}

func TestEventsThatComeBeforeTheHeadIsReadAreKept(t *testing.T) {
	t.Parallel()
	f := newFeed(1, maxTailBytes, new(atomic.Int64))
	for _, v := range []int64{9, 12, 11, 10} {
		f.hear(v)
	}
	f.begin(at(10))
	wantVersion(t, f, 12)
}

func TestAnswerOfAnOldSweepIsNoRegression(t *testing.T) {
	t.Parallel()
	f := loadedAt(12)
	sent, _ := f.now()
	f.hear(13)
	f.compare(sent, at(12)) // 12 was true when the sweep asked
	if p, _ := f.now(); p.at.Version != 13 || p.generation != 1 {
		t.Errorf("position = %+v, want 13 without a restart", p)
	}
	if applied, _, _ := f.fill(sent, answer{head: at(12)}); applied != 0 {
		t.Error("an old answer was applied")
	}
	wantVersion(t, f, 13)
}

func TestHeadThatFellBackRestarts(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]Cursor{
		"same epoch":    at(7),
		"another epoch": {Epoch: "e-2", Version: 12},
	} {
		f := loadedAt(12)
		before, _ := f.now()
		f.compare(before, head)
		after, _ := f.now()
		if after.at != head || after.generation == before.generation {
			t.Errorf("%s: position = %+v, want a restart at %+v", name, after, head)
		}
		if s := f.next(before.at, before.generation); !s.missed {
			t.Errorf("%s: a watcher finds %+v, want missed", name, s)
		}
	}
}

func TestEventOfAnotherEpochAsksForASweep(t *testing.T) {
	t.Parallel()
	f := loadedAt(12)
	if n := f.offer(Cursor{Epoch: "e-2", Version: 13}, event(13)); n != toSweep {
		t.Errorf("offer asks for %v, want toSweep", n)
	}
	wantVersion(t, f, 12)
}

func TestTrimmedLogRestarts(t *testing.T) {
	t.Parallel()
	for name, events := range map[string][]*Event{"all gone": nil, "some gone": {event(14), event(15)}} {
		f := loadedAt(10)
		f.offer(at(15), nil)
		sent, _ := f.gap()
		f.fill(sent, answer{head: at(15), events: events})
		if p, _ := f.now(); p.at.Version != 15 || p.generation != 2 {
			t.Errorf("%s: position = %+v, want a restart at 15", name, p)
		}
	}
}

func TestHintOfNothingIsForgotten(t *testing.T) {
	t.Parallel()
	f := loadedAt(10)
	f.offer(at(99), nil)
	sent, _ := f.gap()
	f.fill(sent, answer{head: at(10)})
	if _, behind := f.gap(); behind {
		t.Error("the feed still waits for an event that the log does not have")
	}
}

func TestHintThatComesDuringAReadIsNotForgotten(t *testing.T) {
	t.Parallel()
	f := loadedAt(10)
	f.offer(at(11), nil)
	sent, _ := f.gap()
	f.offer(at(12), nil) // committed after the query was sent
	f.fill(sent, answer{head: at(11), events: []*Event{event(11)}})
	if _, behind := f.gap(); !behind {
		t.Error("the hint of 12 was lost")
	}
}

func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	f := loadedAt(0)
	for v := int64(1); v <= maxTailEvents+500; v++ {
		f.hear(v)
	}
	if len(f.tail) != maxTailEvents {
		t.Errorf("tail of %d events, want %d", len(f.tail), maxTailEvents)
	}
	const big = maxTailEvents + 501
	for v := int64(big); v < big+10; v++ {
		f.offer(at(v), sized(v, make([]byte, MaxBody)))
	}
	if f.tailBytes > maxTailBytes {
		t.Errorf("tail of %d bytes, want at most %d", f.tailBytes, maxTailBytes)
	}
	if s := f.next(at(5), 1); s.event != nil || s.changed != nil || s.missed || s.err != nil {
		t.Errorf("a watcher behind the tail finds %+v, want to be sent to the log", s)
	}
	for v := int64(100_000); v < 100_000+2*maxAhead; v++ {
		f.hear(v)
	}
	if len(f.ahead) > maxAhead {
		t.Errorf("%d events wait, want at most %d", len(f.ahead), maxAhead)
	}
	f = loadedAt(0)
	for v := int64(2); v < 50; v++ {
		f.offer(at(v), sized(v, make([]byte, MaxBody)))
	}
	if waiting := len(f.ahead) * MaxBody; waiting > maxTailBytes || f.aheadBytes() != waiting {
		t.Errorf("%d bytes wait, and %d are counted, want at most %d", waiting, f.aheadBytes(), maxTailBytes)
	}
	f.hear(1)
	if len(f.ahead) != 0 || f.aheadBytes() != 0 {
		t.Errorf("%d events and %d bytes still wait", len(f.ahead), f.aheadBytes())
	}
}

// However many projects are watched, their tails together keep to a bound, and watchers find in the log what they do not hold.
func TestTailsOfAllFeedsAreBounded(t *testing.T) {
	t.Parallel()
	const feeds = 10 * maxAllBytes / maxTailBytes
	h := NewHub(Config{Wire: fanout.New(fanout.Config{}), Metrics: prometheus.NewRegistry()})
	body := make([]byte, 2000)
	for project := range int32(feeds) {
		f := newFeed(project, maxTailBytes, new(atomic.Int64)) // as if it had come first
		f.begin(at(0))
		h.feeds[project] = f
		for v := int64(1); v <= maxTailBytes/2000; v++ {
			f.offer(at(v), sized(v, body))
		}
	}
	if _, bytes := h.Size(); bytes <= maxAllBytes {
		t.Fatalf("%d bytes are too few for this test", bytes)
	}
	h.divide()
	if _, bytes := h.Size(); bytes > maxAllBytes || bytes < maxAllBytes/2 {
		t.Errorf("%d feeds keep %d bytes, want up to %d", feeds, bytes, maxAllBytes)
	}
	f := h.feeds[0]
	f.offer(at(f.at.Version+1), sized(f.at.Version+1, body))
	if _, bytes := h.Size(); bytes > maxAllBytes {
		t.Errorf("%d bytes after one more event, want at most %d", bytes, maxAllBytes)
	}
	if s := f.next(at(1), 1); s.event != nil || s.changed != nil || s.missed || s.err != nil {
		t.Errorf("a watcher of what was given up finds %+v, want to be sent to the log", s)
	}
}

// Many watchers come to one place at once, after an outage or at an event that is too large to keep. One read serves them all.
func TestWatchersAtOnePlaceShareARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(Config{Wire: fanout.New(fanout.Config{}), Metrics: prometheus.NewRegistry()}) // without a database: none of the watchers reads by itself
		release := make(chan struct{})
		var running sync.WaitGroup
		running.Go(func() {
			_, _ = h.reads.Do(t.Context(), fmt.Sprint(1, " ", at(3), " ", 0), pgtest.Patience, func(context.Context) (answer, error) {
				<-release
				return answer{head: at(5), events: []*Event{event(4), event(5)}}, nil
			})
		})
		synctest.Wait()
		watchers := make([]*watcher, 20)
		for i := range watchers {
			watchers[i] = &watcher{hub: h, feed: loadedAt(5), at: at(3)}
			running.Go(func() {
				if _, err := watchers[i].read(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		gone, leave := context.WithCancel(t.Context())
		running.Go(func() {
			if _, err := (&watcher{hub: h, feed: loadedAt(5), at: at(3)}).read(gone); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		leave()
		close(release)
		running.Wait()
		for i, w := range watchers {
			if len(w.log) != 2 || w.log[0] != watchers[0].log[0] {
				t.Errorf("watcher %d got %v", i, w.log)
			}
		}
	})
}

// Whoever joins a read gets a head that may be older than the feed is by then. That is no regression.
func TestWatcherThatJoinsAReadRestartsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(Config{Wire: fanout.New(fanout.Config{}), Metrics: prometheus.NewRegistry()})
		f := loadedAt(5)
		began, _ := f.now()
		release := make(chan struct{})
		var running sync.WaitGroup
		running.Go(func() {
			_, _ = h.reads.Do(t.Context(), fmt.Sprint(1, " ", at(3), " ", began.generation), pgtest.Patience, func(context.Context) (answer, error) {
				<-release
				return answer{head: at(5), events: []*Event{event(4), event(5)}}, nil
			})
		})
		synctest.Wait()
		f.hear(6)
		running.Go(func() {
			if d, err := (&watcher{hub: h, feed: f}).begin(t.Context(), at(3)); err != nil || d.Missed || d.At != at(3) {
				t.Errorf("the watch begins with %+v, %v, want 3", d, err)
			}
		})
		synctest.Wait()
		close(release)
		running.Wait()
		if s, _ := f.now(); s.generation != began.generation || s.at.Version != 6 {
			t.Errorf("the feed is at version %d, generation %d", s.at.Version, s.generation)
		}
	})
}

func TestEndTellsWatchers(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	f := loadedAt(3)
	s := f.next(at(3), 1)
	f.end(gone)
	<-s.changed
	if s := f.next(at(3), 1); !errors.Is(s.err, gone) {
		t.Errorf("a watcher finds %+v, want the error", s)
	}
	if n := f.hear(4); n != nothing {
		t.Errorf("an ended feed asks for %v", n)
	}
}

// Whatever the order, loss and repetition of lines, reads and sweeps, every watcher sees every version once, in order.
func TestAnyInterleavingIsInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const born = 5
		head := int64(born)
		f := newFeed(1, maxTailBytes, new(atomic.Int64))
		log := func(after int64, limit int) []*Event {
			var events []*Event
			for v := after + 1; v <= head && len(events) < limit; v++ {
				events = append(events, event(v))
			}
			return events
		}
		type question struct {
			sent   state
			head   Cursor
			events []*Event
		}
		var asked []question // sent, and answered by the database, but not yet come back
		watcher, seen := at(born), []int64(nil)
		isOpen := false
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(*rapid.T) { head++ },
			"line":   func(t *rapid.T) { f.hear(rapid.Int64Range(1, head).Draw(t, "version")) },
			"hint":   func(t *rapid.T) { f.offer(at(rapid.Int64Range(1, head).Draw(t, "version")), nil) },
			"open": func(t *rapid.T) {
				if isOpen {
					t.Skip()
				}
				isOpen = true
				f.begin(at(head))
				watcher, seen = at(head), nil
			},
			"ask": func(t *rapid.T) {
				if sent, ok := f.now(); ok {
					asked = append(asked, question{sent, at(head), log(sent.at.Version, rapid.IntRange(1, 4).Draw(t, "limit"))})
				}
			},
			"answer": func(t *rapid.T) {
				if len(asked) == 0 {
					t.Skip()
				}
				q := asked[0]
				asked = asked[1:]
				if rapid.Bool().Draw(t, "sweep") {
					f.compare(q.sent, q.head)
				} else {
					f.fill(q.sent, answer{head: q.head, events: q.events})
				}
			},
			"watch": func(t *rapid.T) {
				if !isOpen {
					t.Skip()
				}
				if s := f.next(watcher, 1); s.event != nil {
					watcher = s.event.At
					seen = append(seen, s.event.At.Version)
				}
			},
			"": func(t *rapid.T) {
				for i := 1; i < len(seen); i++ {
					if seen[i] != seen[i-1]+1 {
						t.Fatalf("a watcher saw %v", seen)
					}
				}
				if p, _ := f.now(); p.generation != 1 {
					t.Fatal("the feed restarted although nothing is missing from the log")
				}
			},
		})
		if !isOpen {
			return
		}
		// However it went, a sweep and reads bring it up to the head.
		sent, _ := f.now()
		f.compare(sent, at(head))
		for {
			sent, behind := f.gap()
			if !behind {
				break
			}
			f.fill(sent, answer{head: at(head), events: log(sent.at.Version, 3)})
		}
		if p, _ := f.now(); p.at.Version != head {
			t.Fatalf("the feed ends at %d, want %d", p.at.Version, head)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	f := loadedAt(0)
	b.ReportAllocs()
	for v := int64(1); v <= int64(b.N); v++ {
		f.hear(v)
	}
}

// An event that says that it follows another one than the feed has is of another history: the log tells.
func TestEventThatFollowsAnotherIsNotTaken(t *testing.T) {
	t.Parallel()
	place := func(version int64, hash string) Cursor { return Cursor{Epoch: epoch, Version: version, Hash: hash} }
	after := func(version int64, hash, prev string) *Event {
		body := []byte(BodyStart + prev + `","version":0}`)
		return &Event{At: place(version, hash), Before: previous(body), Body: body}
	}
	for name, offer := range map[string]func(f *feed) need{
		"next": func(f *feed) need { return f.offer(at(11), after(11, "11111111", "ffffffff")) },
		"ahead": func(f *feed) need {
			f.offer(at(12), after(12, "22222222", "ffffffff"))
			return f.offer(at(11), after(11, "11111111", "aaaaaaaa"))
		},
	} {
		f := newFeed(1, maxTailBytes, new(atomic.Int64))
		f.begin(place(10, "aaaaaaaa"))
		if got := offer(f); got != toFill {
			t.Errorf("%s: %v, want to read the log", name, got)
		}
		sent, _ := f.gap()
		if name == "ahead" && sent.at.Version != 11 || name == "next" && sent.at.Version != 10 {
			t.Errorf("%s: at %d", name, sent.at.Version)
		}
		f.fill(sent, answer{head: place(12, "22222222"), base: "ffffffff"})
		if now, _ := f.now(); now.generation != 2 || now.at.Version != 12 {
			t.Errorf("%s: %+v, want a new start at 12", name, now)
		}
	}
	// The same where nobody knows the hash of what the feed has.
	f := newFeed(1, maxTailBytes, new(atomic.Int64))
	f.begin(place(10, "aaaaaaaa"))
	sent, _ := f.now()
	f.fill(sent, answer{head: at(11), events: []*Event{after(11, "11111111", "ffffffff")}})
	if now, _ := f.now(); now.generation != 2 {
		t.Errorf("from the log: %+v, want a new start", now)
	}
	// And where a line of an older replica, which says nothing of it, came while the log was asked.
	f = newFeed(1, maxTailBytes, new(atomic.Int64))
	f.begin(place(10, "aaaaaaaa"))
	sent, _ = f.now()
	f.offer(at(11), &Event{At: place(11, "11111111"), Body: []byte(`{}`)})
	f.fill(sent, answer{head: place(11, "11111111"), base: "ffffffff", events: []*Event{
		{At: place(11, "11111111"), Before: "ffffffff"},
	}})
	if now, _ := f.now(); now.generation != 2 {
		t.Errorf("after a line of an older replica: %+v, want a new start", now)
	}
	for text, want := range map[string]string{
		BodyStart + `0a1b2c3d","version":1}`: "0a1b2c3d", BodyStart + `0a1b2c3x"}`: "", BodyStart + `0a1b`: "", `{"version":1}`: "", "": "",
	} {
		if got := previous([]byte(text)); got != want {
			t.Errorf("previous(%s) = %q, want %q", text, got, want)
		}
	}
}

// What was made of events in one generation must not be found in another: also not in that of a feed that was dropped and made again.
func TestGenerationsOfAHubDiffer(t *testing.T) {
	t.Parallel()
	restarts := new(atomic.Int64)
	seen := map[int64]bool{}
	for range 3 {
		f := newFeed(1, maxTailBytes, restarts)
		f.begin(at(3))
		for range 3 {
			now, _ := f.now()
			if seen[now.generation] || now.generation == 0 {
				t.Errorf("generation %d, after %v", now.generation, seen)
			}
			seen[now.generation] = true
			f.compare(now, at(now.at.Version-1)) // the head fell back
		}
	}
}

// An event whose decoding panics once is not taken for decoded: all others get an error, not an event without contents.
func TestEventWhoseDecodingPanics(t *testing.T) {
	t.Parallel()
	e := event(1)
	decode := func(*Event) (*int, error) { panic("boom") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		_, _ = Decoded(e, decode)
	}()
	if v, err := Decoded(e, decode); v != nil || err == nil {
		t.Errorf("got %v, %v", v, err)
	}
}
