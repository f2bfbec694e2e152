package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
)

const (
	maxLogout  = 16 << 10        // bytes of a request of the provider
	logoutAge  = 5 * time.Minute // of a logout token when it comes, at most
	clockError = time.Minute     // by which the provider's clock may be ahead
)

var errLogout = fault.New(fault.BadRequest, "This is no logout token for this server, or it is over")

// logout ends sessions whose session or subject at the provider has ended there (OpenID Connect Back-Channel Logout 1.0).
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Issuer == "" {
		http.Error(w, errNone.Message, http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	err := h.endSessions(w, r)
	if err == nil {
		return
	}
	f := h.faultOf(r, err)
	if f.Code == fault.BadRequest || f.Code == fault.Conflict {
		h.accounts.Note(r.Context(), from(r), auth.Entry{Event: "logout_refused", By: "nobody", Detail: f.Message})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest) // whatever failed, says the specification
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": f.Message})
}

func (h *Handler) endSessions(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	r.Body = http.MaxBytesReader(w, r.Body, maxLogout)
	raw := r.PostFormValue("logout_token")
	sort, c, err := peek(raw)
	switch {
	case err != nil:
		return errLogout.Because(err)
	case sort != "" && sort != "jwt" && sort != "logout+jwt":
		return errLogout.Because(fmt.Errorf("a token of the type %q", fault.Clip(sort)))
	case c.Issuer != h.cfg.Issuer || !c.Audience.Contains(h.cfg.ClientID):
		return errLogout.Because(errors.New("it is of another issuer, or for another client"))
	}
	m, err := h.provider.get(ctx)
	if err != nil {
		return err
	}
	keys := &notedKeys{KeySet: m.keySet}
	token, err := h.verifier(keys, h.cfg.ClientID).VerifyLogout(ctx, raw)
	switch {
	case err != nil && keys.away():
		return errAway.Because(clipped(err))
	case err != nil:
		return errLogout.Because(clipped(err))
	}
	if age := time.Since(token.IssuedAt); age > logoutAge || age < -clockError {
		return errLogout.Because(fmt.Errorf("it was issued %v ago", age))
	}
	var event map[string]map[string]any // an object, says the specification, and not just anything
	if err := json.Unmarshal(c.Events, &event); err != nil {
		return errLogout.Because(err)
	}
	_, err = h.accounts.EndIssuerSessions(ctx, from(r), auth.IssuerLogout{
		Issuer: h.cfg.Issuer, ID: token.TokenID, Issued: token.IssuedAt, Until: token.IssuedAt.Add(2 * logoutAge),
		Session: token.SessionID, Subject: token.Subject,
	})
	return err
}
