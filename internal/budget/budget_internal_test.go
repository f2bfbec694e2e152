package budget

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/fault"

	"pgregory.net/rapid"
)

const kilobyte = 1 << 10

var here, there = netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("203.0.113.8/32")

// free fails unless a budget is as new.
func (b *Budget) free(t testing.TB) {
	t.Helper()
	if b.Taken() != 0 || len(b.clients) != 0 || b.flight.Load() != 0 || b.Waiting() != 0 ||
		!b.small.TryAcquire(max(1, b.config.Memory/4/requestSize)) || !b.large.TryAcquire(b.config.Memory-b.config.Memory/4) {
		t.Errorf("%d bytes, %d requests of %d clients are left, %d wait", b.Taken(), b.flight.Load(), len(b.clients), b.Waiting())
	}
}

func (b *Budget) begin(t testing.TB, address netip.Prefix) *Hold {
	t.Helper()
	h, err := b.Begin(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestARequestTakesWhatItNeeds(t *testing.T) {
	t.Parallel()
	b := New(Config{Memory: 8 << 20})
	h := b.begin(t, here)
	for _, step := range []struct{ size, want int64 }{
		{10 * kilobyte, requestSize},
		{requestSize, requestSize}, // a small request is covered whole
		{100 * kilobyte, 100 * kilobyte},
		{3 << 20, 3 << 20},
		{50 * kilobyte, 50 * kilobyte},
		{0, requestSize},
	} {
		if err := h.Resize(t.Context(), step.size); err != nil || b.Taken() != step.want {
			t.Errorf("a request of %d bytes took %d, want %d: %v", step.size, b.Taken(), step.want, err)
		}
	}
	if err := h.Take(t.Context(), 1<<20); err != nil || b.Taken() != 1<<20 {
		t.Errorf("took %d: %v", b.Taken(), err)
	}
	socket := b.Open(here)
	if err := socket.Take(t.Context(), kilobyte); err != nil || b.Taken() != 1<<20+kilobyte {
		t.Errorf("took %d: %v", b.Taken(), err)
	}
	socket.Close()
	h.Close()
	h.Close()
	b.free(t)
}

// One client address has half of what is for large requests, and waits for itself. Others do not notice.
func TestAnAddressHasAShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Memory: 8 << 20, Patience: time.Second})
		first, second, other := b.begin(t, here), b.begin(t, here), b.begin(t, there)
		if err := first.Take(t.Context(), 4<<20); !fault.Is(err, fault.BadRequest) || !errors.Is(err, ErrTooLarge) {
			t.Errorf("more than a share: %v", err)
		}
		if err := first.Take(t.Context(), 2<<20); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if err := second.Take(t.Context(), 2<<20); !fault.Is(err, fault.Unavailable) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := other.Take(t.Context(), 3<<20); err != nil {
			t.Errorf("another address: %v", err)
		}
		done := make(chan error)
		go func() { done <- second.Take(t.Context(), 2<<20) }()
		synctest.Wait() // until it waits
		first.Close()
		if err := <-done; err != nil {
			t.Errorf("when there is room again: %v", err)
		}
		second.Close()
		other.Close()
		b.free(t)
	})
}

// Two addresses hold everything that is for large requests. A third finds none, and small requests do not notice.
func TestSmallRequestsDoNotWaitForLargeOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Memory: 8 << 20})
		large := []*Hold{b.begin(t, here), b.begin(t, there)}
		for _, h := range large {
			if err := h.Resize(t.Context(), 3<<20+requestSize); err != nil {
				t.Fatal(err)
			}
		}
		third := b.begin(t, netip.Prefix{})
		if err := third.Resize(t.Context(), 64*kilobyte); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
		began := time.Now()
		for range 50 {
			h := b.begin(t, here)
			if err := h.Resize(t.Context(), requestSize); err != nil || time.Since(began) != 0 {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
			defer h.Close()
		}
	})
}

func TestRequestsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Memory: 16 * requestSize, PerAddress: 3}) // four are for requests as such
		one := b.begin(t, here)
		two, three := b.begin(t, here), b.begin(t, here)
		if _, err := b.Begin(t.Context(), here); !fault.Is(err, fault.RateLimited) {
			t.Errorf("a fourth of one address: %v", err)
		}
		other := b.begin(t, there)
		if _, err := b.Begin(t.Context(), there); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a fifth of all: %v", err)
		}
		one.Close()
		one = b.begin(t, here)
		for _, h := range []*Hold{one, two, three, other} {
			h.Close()
		}
		b.free(t)
	})
}

// Whatever holds do, and however they fail, nothing is lost and nothing is taken twice.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := New(Config{Memory: 1 << 20, Patience: time.Nanosecond, PerAddress: 5})
		var running sync.WaitGroup
		for range rapid.IntRange(1, 10).Draw(t, "requests") {
			address := rapid.SampledFrom([]netip.Prefix{here, there}).Draw(t, "address")
			sizes := rapid.SliceOfN(rapid.Int64Range(0, 600*kilobyte), 1, 5).Draw(t, "sizes")
			running.Go(func() {
				h, err := b.Begin(context.Background(), address)
				if err != nil {
					h = b.Open(address)
				}
				defer h.Close()
				for _, size := range sizes {
					_ = h.Resize(context.Background(), size)
					_ = h.Take(context.Background(), size/2)
				}
			})
		}
		running.Wait()
		if b.Taken() != 0 || len(b.clients) != 0 || !b.large.TryAcquire(b.config.Memory-b.config.Memory/4) {
			t.Errorf("%d bytes are left", b.Taken())
		}
	})
}

// What a small request costs: nothing beside its execution, which takes tens of microseconds.
func BenchmarkSmallRequest(b *testing.B) {
	budget := New(Config{PerAddress: 1000})
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			h, err := budget.Begin(context.Background(), here)
			if err != nil || h.Resize(context.Background(), 4*kilobyte) != nil {
				b.Error("refused")
			}
			h.Close()
		}
	})
	runtime.KeepAlive(budget)
}
