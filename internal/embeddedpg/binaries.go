package embeddedpg

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// ErrNoBinaries says that no PostgreSQL is installed, and what to do.
var ErrNoBinaries = errors.New("no PostgreSQL found: install it (Debian, Ubuntu: apt-get install postgresql), " +
	"set LAYERCAKE_PG_BIN to the folder of its programs initdb and postgres, " +
	"or set LAYERCAKE_DATABASE_URL to a database that runs already")

// FindBinaries returns the folder of PostgreSQL's programs: configured if it is not empty, else the one of PATH, else
// the newest that Debian's packages or Homebrew have installed. The error says what is wrong with the configured
// folder, or is ErrNoBinaries. As root, an unprivileged account must be able to run the programs.
func FindBinaries(configured string) (string, error) {
	runner, err := defaultAccount()
	if err != nil {
		return "", err
	}
	if configured != "" {
		if _, err := majorVersion(runner, configured); err != nil {
			return "", fmt.Errorf("no PostgreSQL programs in %s (LAYERCAKE_PG_BIN): %w", configured, err)
		}
		return filepath.Abs(configured)
	}
	for _, dir := range candidates() {
		if _, err := majorVersion(runner, dir); err == nil {
			return dir, nil
		}
	}
	return "", ErrNoBinaries
}

// candidates lists folders that may hold the programs, the best first.
func candidates() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link in PATH seldom has initdb beside it; its target does.
		if target, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the only error is a bad pattern
		slices.SortFunc(found, func(a, b string) int { return numberIn(b) - numberIn(a) })
		dirs = append(dirs, found...)
	}
	return dirs
}

var digits = regexp.MustCompile(`\d+`)

// numberIn returns the first number of a text, as of /usr/lib/postgresql/17/bin, or 0.
func numberIn(text string) int {
	n, _ := strconv.Atoi(digits.FindString(text)) // not a number, or absurdly large: the last choice
	return n
}

// majorVersion proves that the account can run the programs in dir and returns their major version.
func majorVersion(a *account, dir string) (int, error) {
	for _, name := range []string{"initdb", "postgres"} {
		path := filepath.Join(dir, name)
		script, err := isScript(path)
		if err != nil {
			return 0, err
		}
		if script {
			// It would stand between us and the server, which must get our signals.
			return 0, fmt.Errorf("%s is a script, not the program", path)
		}
	}
	out, err := a.command(dir, "postgres", "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("run %s --version%s: %w", filepath.Join(dir, "postgres"), a, err)
	}
	major := numberIn(string(out)) // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
	if major == 0 {
		return 0, fmt.Errorf("%s says that it is %q", filepath.Join(dir, "postgres"), bytes.TrimSpace(out))
	}
	return major, nil
}

func isScript(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 2)
	n, err := f.Read(head)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return string(head[:n]) == "#!", nil
}
