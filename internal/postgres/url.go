package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// form is the advice of every error about a URL.
const form = "it has the form postgres://user:password@host:port/database"

// encoding is for passwords that break a URL.
const encoding = form +
	`, where @ : / ? # % and blanks in the user and the password are written %40 %3A %2F %3F %23 %25 and %20`

var (
	// A scheme may consist of two: jdbc:postgresql.
	schemeOf = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]{0,19}(?::[A-Za-z][A-Za-z0-9+.-]{0,19})?)://`)
	jdbc     = regexp.MustCompile(`(?i)^jdbc:`)
	// A keyword/value text; pgx takes double quotes for a part of the value.
	keywords     = regexp.MustCompile(`^\s*[a-z_]+\s*=`)
	doubleQuoted = regexp.MustCompile(`=\s*"[^"]*"`)
	separated    = regexp.MustCompile(`[;,&]\s*[a-z_]+\s*=`)
)

// CheckURL says what is wrong with the URL of a database, and what is right. Its error repeats neither the text nor the words of the
// parser, since both may hold a password.
func CheckURL(text string) error {
	scheme := schemeOf.FindStringSubmatch(text)
	switch {
	case strings.TrimSpace(text) != text || strings.ContainsAny(text[:min(1, len(text))], `"'`):
		return fmt.Errorf("has blanks or quotes around it: %s", form)
	case jdbc.MatchString(text):
		return fmt.Errorf("begins with jdbc: as for Java: %s, with the user and the password there rather than behind a question mark", form)
	case scheme != nil && scheme[1] != "postgres" && scheme[1] != "postgresql":
		return fmt.Errorf("begins with %s://: %s", scheme[1], form)
	case scheme != nil:
		return checkURL(text)
	case !keywords.MatchString(text):
		return fmt.Errorf("is no URL: %s", form)
	case doubleQuoted.MatchString(text):
		return errors.New(`has a value in double quotes: write ` + quoting)
	}
	cfg, err := pgxpool.ParseConfig(text)
	if err != nil {
		return errors.New("cannot be read: write " + quoting + ". Or " + form)
	}
	values := []string{"," + cfg.ConnConfig.Host, cfg.ConnConfig.User, cfg.ConnConfig.Database}
	for _, other := range cfg.ConnConfig.Fallbacks {
		values = append(values, ","+other.Host) // a comma was before it
	}
	// Text behind another separator was taken for a part of the value, and errors of connecting name these values.
	if slices.ContainsFunc(values, separated.MatchString) {
		return errors.New("has other separators than blanks: write " + quoting)
	}
	return nil
}

// quoting is how values with blanks are written beside keywords.
const quoting = `host=... user=... password='...' dbname=..., with single quotes around what has blanks or quotes, and \' and \\ in them`

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("cannot be read: %s", encoding)
	}
	_, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	// Of two @, one parser takes the first and another the last.
	if strings.Count(rest[:end], "@") > 1 {
		return fmt.Errorf("is cut in two by a character of the password: %s", encoding)
	}
	path, query, _ := strings.Cut(rest[end:], "?")
	name, _, _ := strings.Cut(query, "=")
	// The text behind the password was taken for a path or a parameter, or ignored.
	if strings.Contains(text, "#") || strings.Contains(path, "@") || strings.Contains(name, "@") {
		return fmt.Errorf("is cut in two by a character of the password: %s", encoding)
	}
	if _, err := pgxpool.ParseConfig(text); err == nil {
		return nil
	} else if reason := inner(err); reason != "" && !repeatsSecret(reason, u) {
		return fmt.Errorf("cannot be used (%s): %s", reason, form)
	}
	return fmt.Errorf("cannot be used: %s", form)
}

// inner returns the reason in a parser's error, without the text that it quotes.
func inner(err error) string {
	for {
		cause := errors.Unwrap(err)
		if cause == nil {
			return err.Error()
		}
		err = cause
	}
}

func repeatsSecret(reason string, u *url.URL) bool {
	given, _ := u.User.Password()
	for _, secret := range []string{given, u.Query().Get("password"), u.Query().Get("sslpassword")} {
		if secret != "" && strings.Contains(reason, secret) {
			return true
		}
	}
	return false
}
