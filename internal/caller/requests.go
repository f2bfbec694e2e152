package caller

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/time/rate"
)

// maxAccounts is how many accounts a replica remembers. One that it forgets begins anew, as one does anyway that was quiet for a second.
const maxAccounts = 10_000

// Requests limits how many requests of one account a replica serves a second, by all its sessions together, and by all its tokens together.
// Callers without an account have the limits of their addresses. Make it with NewRequests.
type Requests struct {
	perSecond int // 0 for any number
	refused   prometheus.Counter

	mu       sync.Mutex
	accounts *simplelru.LRU[asker, *rate.Limiter]
}

// asker is who shares a limit: an account's people, or its programs. A program that asks without end keeps nobody from ending it.
type asker struct {
	account int32
	program bool
}

// NewRequests returns a limit of so many requests a second, and as many at once after a pause; 0 for any number.
func NewRequests(perSecond int, metrics prometheus.Registerer) *Requests {
	l := &Requests{
		perSecond: perSecond,
		refused: promauto.With(metrics).NewCounter(prometheus.CounterOpts{
			Namespace: "layercake", Subsystem: "account", Name: "refused_requests_total",
			Help: "Requests, operations on sockets included, that were refused because their account made too many.",
		}),
	}
	l.accounts, _ = simplelru.NewLRU[asker, *rate.Limiter](maxAccounts, nil) // it fails for no size only
	return l
}

// Admit counts a request of a caller. It fails with the fault RateLimited, which says when the next one is served. A request that is
// refused does not count, so that whoever goes on asking too often is served at the rate.
func (l *Requests) Admit(c Caller) error {
	return l.admit(asker{c.Account, c.Credential.Kind != auth.SessionSecret}, time.Now())
}

func (l *Requests) admit(who asker, now time.Time) error {
	if l == nil || l.perSecond == 0 || who.account == 0 {
		return nil
	}
	reserved := l.of(who).ReserveN(now, 1)
	delay := reserved.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	reserved.CancelAt(now)
	l.refused.Inc()
	return fault.New(fault.RateLimited, fmt.Sprintf("Your account made more than %d requests a second here "+
		"(LAYERCAKE_ACCOUNT_REQUESTS): slow down", l.perSecond)).With("retryAfterMs", (delay + time.Millisecond - 1).Milliseconds())
}

func (l *Requests) of(who asker) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, known := l.accounts.Get(who)
	if !known {
		limiter = rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)
		l.accounts.Add(who, limiter)
	}
	return limiter
}

// Middleware counts each request of a caller with an account. Of one too many, Check says so to the transport, which answers in its own
// form. It comes after Authenticate.
func (l *Requests) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := l.refusal(w, r); refused != nil {
			r = refused
		}
		next.ServeHTTP(w, r)
	})
}

// refusal returns the request as one of a caller who may not go on, or nil when it is admitted.
func (l *Requests) refusal(w http.ResponseWriter, r *http.Request) *http.Request {
	c := From(r.Context())
	if c.refusal != nil {
		return nil
	}
	err := l.Admit(c)
	if err == nil {
		return nil
	}
	c.refusal = err
	w.Header().Set("Retry-After", strconv.Itoa(seconds(fault.From(err))))
	return r.WithContext(With(r.Context(), c))
}

// seconds returns the pause that a fault asks for in whole seconds, as HTTP has it.
func seconds(f *fault.Error) int {
	ms, _ := f.Details["retryAfterMs"].(int64)
	return int(math.Ceil(float64(ms) / 1000))
}
