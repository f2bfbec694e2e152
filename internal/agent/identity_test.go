package agent_test

import (
	"net/netip"
	"strings"
	"testing"

	"layercake/internal/agent"
	"layercake/internal/fault"

	"github.com/google/uuid"
)

func TestNameOfAnAgent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", agent.MaxName)
	for name, c := range map[string]struct {
		header string
		client agent.Client
		want   string // empty: refused
	}{
		"nothing":                  {"", agent.Client{}, "Agent"},
		"a client's name":          {"", agent.Client{Name: "claude-code"}, "claude-code"},
		"its title before it":      {"", agent.Client{Name: "claude-code", Title: "Claude Code"}, "Claude Code"},
		"the header before both":   {" Ann's planner ", agent.Client{Name: "n", Title: "t"}, "Ann's planner"},
		"blanks are no header":     {" \t", agent.Client{Name: "n"}, "n"},
		"as long as may be":        {long, agent.Client{}, long},
		"a header too long":        {long + "x", agent.Client{}, ""},
		"a header with a control":  {"a\x07b", agent.Client{}, ""},
		"a header that is no text": {"a\xff", agent.Client{}, ""},
		"a title that is mended":   {"", agent.Client{Title: "\u202eevil\x00 \xff" + long + "x"}, "evil " + long[:2*(agent.MaxName-5)]},
		"a title of nothing":       {"", agent.Client{Title: "\u2066 \x1b", Name: "n"}, "n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who, err := agent.Of(c.header, c.client, uuid.Nil, netip.Prefix{})
			if c.want == "" {
				if !fault.Is(err, fault.BadRequest) {
					t.Errorf("%q, %v, want it refused", who.Name, err)
				}
				return
			}
			if err != nil || who.Name != c.want {
				t.Errorf("%q, %v, want %q", who.Name, err, c.want)
			}
		})
	}
}

func TestAgentsAreToldApart(t *testing.T) {
	t.Parallel()
	here, there := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	session := uuid.New()
	key := func(header string, session uuid.UUID, network netip.Prefix) string {
		t.Helper()
		who, err := agent.Of(header, agent.Client{}, session, network)
		if err != nil {
			t.Fatal(err)
		}
		return who.Key
	}
	lasting := func(header string, session uuid.UUID, network netip.Prefix) string {
		t.Helper()
		who, err := agent.Of(header, agent.Client{}, session, network)
		if err != nil {
			t.Fatal(err)
		}
		return who.LastingKey
	}
	if same := lasting("a", session, here); same != lasting("a", uuid.New(), here) || same != lasting("a", uuid.Nil, here) ||
		same == lasting("a", session, there) || same == lasting("b", session, here) {
		t.Errorf("what lasts of an agent is %q: want its name at its address", same)
	}
	if key("a", session, here) != key("a", session, there) {
		t.Error("one session is two agents, from two addresses")
	}
	different := map[string]bool{}
	for _, k := range []string{
		key("a", session, here), key("b", session, here), key("a", uuid.New(), here), key("a", uuid.Nil, here), key("a", uuid.Nil, there),
		key("b", uuid.Nil, here), key("a", uuid.Nil, here), key("a", uuid.Nil, netip.Prefix{}),
	} {
		different[k] = true
	}
	if len(different) != 7 {
		t.Errorf("%d of 7 agents are different: %v", len(different), different)
	}
}
