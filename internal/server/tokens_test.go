package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/npmtest"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// The client of npm's graphql-ws brings a token, another one while it is connected, and does not come back when a DBA ended the session.
func TestTokensOfTheClientOfOthers(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	url := servertest.StartOn(t, database, 1, required)[0].URL
	ann := registered(t, url, "ann")
	project := ann.created(t, url)
	var data struct{ Login struct{ SessionID string } }
	person{}.does(t, url, fmt.Sprintf(`mutation { login(input: {email: "ann", password: %q}) { sessionId } }`, password), &data)
	operator := pgtest.Connect(t, database)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /first", func(http.ResponseWriter, *http.Request) {
		ann.does(t, url, `mutation { logout(sessionId: "") }`, nil)
	})
	mux.HandleFunc("POST /all", func(_ http.ResponseWriter, r *http.Request) {
		if _, err := operator.Exec(r.Context(), `SELECT layercake.end_sessions('ann')`); err != nil {
			t.Error(err)
		}
	})
	end := httptest.NewServer(mux)
	defer end.Close()
	out := npmtest.Run(t, "graphql-ws-tokens.mjs", "URL="+url, "END="+end.URL, "PROJECT="+strconv.Itoa(project), "FIRST="+ann.secret,
		"SECOND="+data.Login.SessionID)
	if !strings.HasSuffix(out, "passed\n") {
		t.Errorf("the script said %q", out)
	}
}
