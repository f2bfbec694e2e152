package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	clientID     = "layercake"
	clientSecret = "only for us"
)

// idp is an identity provider that can lie.
type idp struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	key      *signingKey
	codes    map[string]url.Values // what was asked for, by code
	person   map[string]any        // what ID tokens say of whoever signs in
	userInfo map[string]any
	asked    map[string]int              // requests, by path
	last     string                      // the last ID token
	forge    func(map[string]any) string // makes the ID token instead; nil for an honest one
	says     map[string]any              // what is different in its metadata
	answers  func(url.Values)            // changes what it sends to the callback
	instead  map[string]http.HandlerFunc // what it does instead, by path
}

// signingKey is a key with its name and algorithm.
type signingKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

func newKey(t *testing.T, id string) *signingKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signingKey{id, jose.ES256, private}
}

func newRSAKey(t *testing.T, id string) *signingKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &signingKey{id, jose.RS256, private}
}

// sign makes a token.
func (k *signingKey) sign(t *testing.T, sort string, claims map[string]any, headers ...string) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(sort))
	for i := 0; i < len(headers); i += 2 {
		options = options.WithHeader(jose.HeaderKey(headers[i]), headers[i+1])
	}
	return signed(t, jose.SigningKey{Algorithm: k.algorithm, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id}}, options, claims)
}

func signed(t *testing.T, key jose.SigningKey, options *jose.SignerOptions, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func startIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{
		t: t, key: newKey(t, "first"), codes: map[string]url.Values{}, asked: map[string]int{}, says: map[string]any{},
		instead: map[string]http.HandlerFunc{}, userInfo: map[string]any{"sub": "1"},
		person: map[string]any{
			"sub": "1", "email": "ann@example.com", "email_verified": true, "name": "Ann", "preferred_username": "ann", "sid": "s1",
		},
	}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

// set changes what it does.
func (p *idp) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// count returns how often a path was asked for.
func (p *idp) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

func (p *idp) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked[r.URL.Path]++
	instead := p.instead[r.URL.Path]
	p.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(w, http.StatusOK, p.metadata())
	case "/keys":
		public := jose.JSONWebKey{Key: p.key.private.Public(), KeyID: p.key.id, Algorithm: string(p.key.algorithm), Use: "sig"}
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	case "/authorize":
		code := rand.Text()
		p.codes[code] = r.URL.Query()
		back := url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}, "iss": {p.URL}}
		if p.answers != nil {
			p.answers(back)
		}
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
	case "/token":
		p.trade(w, r)
	case "/become": // somebody else signs in there from now on
		p.person = map[string]any{"sub": r.URL.Query().Get("sub")}
		p.userInfo = p.person
	case "/userinfo":
		answer(w, http.StatusOK, p.userInfo)
	default:
		http.NotFound(w, r)
	}
}

// metadata is what it says of itself.
func (p *idp) metadata() map[string]any {
	metadata := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"userinfo_endpoint": p.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"},
		"authorization_response_iss_parameter_supported": true,
	}
	maps.Copy(metadata, p.says)
	return metadata
}

// trade gives tokens for a code, once, to whoever has the secret and the verifier.
func (p *idp) trade(w http.ResponseWriter, r *http.Request) {
	asked, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	switch {
	case id != clientID || secret != url.QueryEscape(clientSecret):
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	case !ok || asked.Get("code_challenge_method") != "S256" || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]):
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
	default:
		claims := p.claims(asked.Get("nonce"))
		if p.forge != nil {
			p.last = p.forge(claims)
		} else {
			p.last = p.key.sign(p.t, "JWT", claims)
		}
		answer(w, http.StatusOK, map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": p.last})
	}
}

// claims are those of an honest ID token.
func (p *idp) claims(nonce string) map[string]any {
	claims := map[string]any{
		"iss": p.URL, "aud": clientID, "nonce": nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"auth_time": time.Now().Add(-time.Second).Unix(),
	}
	maps.Copy(claims, p.person)
	return claims
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(fmt.Sprint("encode an answer: ", err))
	}
}
