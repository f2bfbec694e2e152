package auth

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"

	"layercake/internal/fault"
)

// The rules of registration are those of the existing server (graphql.md, "Registration rules").

func checkEmail(email string) error {
	local, domain, found := strings.Cut(email, "@")
	why := ""
	switch {
	case len(email) > 254:
		why = "it has more than 254 bytes"
	case !found || strings.Contains(domain, "@"):
		why = "it must have one @"
	case local == "" || domain == "":
		why = "a side of its @ is empty"
	case !strings.Contains(domain, ".") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, "."):
		why = "its domain must have a dot, and neither begin nor end with one"
	}
	if why != "" {
		return fault.New(fault.BadRequest, "Email validation failed: "+why)
	}
	return prefixedFault("Email validation failed: ", fault.CheckName("Email", email))
}

func checkUsername(name string) error {
	why := ""
	switch {
	case len(name) < 3 || len(name) > 50:
		why = fmt.Sprintf("it has %d bytes, and must have 3 to 50", len(name))
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' }):
		why = "it may have letters, digits, _ and -"
	}
	if why != "" {
		return fault.New(fault.BadRequest, "Username validation failed: "+why)
	}
	return nil
}

func checkDisplayName(name string) error {
	why := ""
	switch {
	case strings.TrimSpace(name) == "":
		why = "it is blank"
	case len(name) > 100:
		why = fmt.Sprintf("it has %d bytes, more than 100", len(name))
	}
	if why != "" {
		return fault.New(fault.BadRequest, "Display name validation failed: "+why)
	}
	return prefixedFault("Display name validation failed: ", fault.CheckName("Display name", name))
}

func prefixedFault(prefix string, err error) error {
	if f := fault.From(err); f != nil {
		return fault.New(f.Code, prefix+f.Message)
	}
	return err
}

// colors are what accounts are shown in: each can be read on light and on dark ground.
var colors = []string{
	"#3b82f6", "#ef4444", "#10b981", "#f59e0b", "#8b5cf6", "#ec4899", "#14b8a6", "#f97316", "#6366f1", "#84cc16", "#06b6d4", "#d946ef",
	"#22c55e", "#eab308", "#64748b",
}

func randomColor() string { return colors[rand.N(len(colors))] }
