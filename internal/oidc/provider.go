package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"layercake/internal/fault"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	maxAnswer   = 1 << 20          // bytes of an answer of the provider
	metadataAge = 10 * time.Minute // after which it is asked again who it is: keys that it has withdrawn count no longer than that
	retryPause  = time.Second      // after a failure, in which everybody is told of that one
	agedPause   = time.Minute      // the same while it is known from before
	keysPause   = 5 * time.Second  // between two requests for keys; the first few may come at once
	keysBurst   = 3
)

// algorithms are those of signatures that count: never none, and none by which whoever checks could sign as well. Which ones the provider
// says that it uses does not matter: that may change with its keys.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

var (
	errAway = fault.New(fault.Unavailable, "The identity provider does not answer as it should: try again in a moment").
		With("retryAfterMs", retryPause.Milliseconds())
	errKeysAsked = errors.New("the provider was asked for its keys a moment ago")
)

// provider is the identity provider, as far as it is known. It is asked who it is when somebody needs to know, and again when that is old.
type provider struct {
	cfg    Config
	log    *slog.Logger
	client *http.Client
	flight singleflight.Group

	mu    sync.Mutex
	known *metadata // nil before the first success
	err   error     // of the last request; nil after a success
	due   time.Time // when it is to be asked again
}

func newProvider(cfg Config, log *slog.Logger) *provider {
	base, _ := http.DefaultTransport.(*http.Transport) // it is one
	base = base.Clone()
	base.DisableKeepAlives = true // it is asked seldom
	return &provider{cfg: cfg, log: log, client: &http.Client{
		Transport: boundedTransport{base}, Timeout: cfg.Patience, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the provider leads elsewhere, where nobody asked to go")
		},
	}}
}

// boundedTransport reads no answer without end.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}

// seldomTransport sends few requests: anybody can name a key that is not known.
type seldomTransport struct {
	http.RoundTripper
	limiter *rate.Limiter
}

func (t seldomTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.limiter.Allow() {
		return nil, errKeysAsked
	}
	return t.RoundTripper.RoundTrip(r)
}

// metadata is what a provider says of itself.
type metadata struct {
	*gooidc.Provider
	keySet    gooidc.KeySet
	style     oauth2.AuthStyle
	namesSelf bool // in its answers to browsers (RFC 9207)
	userInfo  bool // it has more to say of whoever signed in
}

// get returns what the provider says of itself. While it is away, what it said before counts. Faults: Unavailable when it never said
// anything.
func (p *provider) get(ctx context.Context) (*metadata, error) {
	now := time.Now()
	p.mu.Lock()
	known, err, fresh := p.known, p.err, now.Before(p.due)
	if known != nil && !fresh {
		p.due = now.Add(p.cfg.Patience) // others go on with what is known while this one asks
	}
	p.mu.Unlock()
	switch {
	case fresh && known != nil:
		return known, nil
	case fresh:
		return nil, err
	}
	// Whoever asks first asks for all who wait, and so does not stop when they go away themselves: the client has a time-out. And the keys
	// keep the context, so it has nothing of a request.
	_, err, _ = p.flight.Do("", func() (any, error) {
		m, err := p.discover(context.Background())
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case err == nil:
			p.known, p.err, p.due = m, nil, time.Now().Add(metadataAge)
		case p.known != nil:
			p.due = time.Now().Add(agedPause)
			p.log.WarnContext(ctx, "the identity provider does not say who it is now", "error", clipped(err))
		default:
			p.err, p.due = errAway.Because(clipped(err)), time.Now().Add(retryPause)
		}
		return nil, p.err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		return nil, err
	}
	return p.known, nil
}

// discover asks the provider who it is.
func (p *provider) discover(ctx context.Context) (*metadata, error) {
	found, err := gooidc.NewProvider(gooidc.ClientContext(ctx, p.client), p.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("ask the provider who it is: %w", err)
	}
	var says struct {
		Authorization string   `json:"authorization_endpoint"`
		Token         string   `json:"token_endpoint"`
		Keys          string   `json:"jwks_uri"`
		UserInfo      string   `json:"userinfo_endpoint"`
		Methods       []string `json:"token_endpoint_auth_methods_supported"`
		NamesSelf     bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&says); err != nil {
		return nil, fmt.Errorf("read what the provider says of itself: %w", err)
	}
	for name, address := range map[string]string{
		"authorization_endpoint": says.Authorization, "token_endpoint": says.Token, "jwks_uri": says.Keys, "userinfo_endpoint": says.UserInfo,
	} {
		if u, err := url.Parse(address); err != nil || !isSafe(u) && (address != "" || name != "userinfo_endpoint") {
			return nil, fmt.Errorf("the provider says that its %s is %q, which is not https", name, fault.Clip(address))
		}
	}
	seldom := *p.client // anew each time, so that whoever signs with unknown keys does not keep the known ones from being asked for
	seldom.Transport = seldomTransport{p.client.Transport, rate.NewLimiter(rate.Every(keysPause), keysBurst)}
	m := &metadata{
		Provider: found, keySet: gooidc.NewRemoteKeySet(gooidc.ClientContext(ctx, &seldom), says.Keys), namesSelf: says.NamesSelf,
		userInfo: says.UserInfo != "",
	}
	switch { // never by trying one after the other, which would send a code twice
	case p.cfg.ClientSecret == "":
		m.style = oauth2.AuthStyleInParams
	case len(says.Methods) > 0 && !slices.Contains(says.Methods, "client_secret_basic") && slices.Contains(says.Methods, "client_secret_post"):
		m.style = oauth2.AuthStyleInParams
	default:
		m.style = oauth2.AuthStyleInHeader
	}
	return m, nil
}

// clipped is an error for the log, without the whole of what the provider answered.
func clipped(err error) error { return errors.New(fault.Clip(err.Error())) }

// notedKeys keeps why a signature was not found good, which the library says in words only.
type notedKeys struct {
	gooidc.KeySet
	err error
}

func (k *notedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	k.err = err
	return payload, err
}

// away reports whether the keys could not be had, so that nobody knows whether the signature is good.
func (k *notedKeys) away() bool {
	failed := new(url.Error)
	return errors.As(k.err, &failed) && !errors.Is(k.err, errKeysAsked) || errors.Is(k.err, context.DeadlineExceeded)
}
