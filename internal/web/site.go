package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// What a site may have: a build of a client has a hundredth of it, and a folder that somebody named by mistake has more.
const (
	maxSiteBytes = 128 << 20
	maxSiteFiles = 10_000
)

// credentials is the path of the script that a site gets before its own where everybody signs in.
const credentials = "/client/credentials.js"

//go:embed credentials.js
var credentialsScript []byte

// Site is a built single-page client of somebody else. All of it is read before any of it is served: no request leads out of the folder,
// and a folder that is replaced under the server cannot mix two builds.
type Site struct{ files map[string]*file }

// ReadSite reads the folder that a build made; what begins with a dot is left out. Unless the server is open, the HTML is for those who
// signed in, and has our script before its own. ReadSite fails when there is no index.html, when there is too much, and when there is
// anything but files, folders, and links to files of the folder.
func ReadSite(dir string, open bool) (*Site, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s := &Site{files: map[string]*file{}}
	room := int64(maxSiteBytes)
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(entry.Name(), "."):
			return nil
		case isReserved(name) || first(name) == "app":
			return fmt.Errorf("%s is where the server has paths of its own: no browser would get it", name)
		case entry.IsDir():
			return nil
		case len(s.files) == maxSiteFiles:
			return fmt.Errorf("there are more than %d files: name the folder that the build of a client made", maxSiteFiles)
		}
		content, err := readWithin(root, name, room)
		if err != nil {
			return err
		}
		room -= int64(len(content))
		s.files["/"+name] = siteFile(name, content, open)
		return nil
	})
	if err == nil && s.files[index] == nil {
		err = errors.New("there is no index.html: name the folder that the build of a client made")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return s, nil
}

// readWithin returns a file of a folder that has at most so many bytes.
func readWithin(root *os.Root, name string, room int64) ([]byte, error) {
	info, err := root.Stat(name) // follows links, but not out of the folder
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s leads to no file of the folder: %w", name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a folder, nor a link to a file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, room+1)) // it may have grown since
	if err == nil && int64(len(content)) > room {
		err = fmt.Errorf("there are more than %d MB: name the folder that the build of a client made", maxSiteBytes>>20)
	}
	return content, err
}

// sitePolicy is as strict as clients can live with that know nothing of it: scripts and connections of this server only, but WebAssembly,
// by which they draw graphs, inline styles, pictures and workers that scripts make, and a base. %s is for the hashes of inline scripts.
const sitePolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'%s; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self'; worker-src 'self' blob:; " +
	"manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

// siteFile returns a file of a site as it is sent.
func siteFile(name string, content []byte, open bool) *file {
	scripts, caching := "", askAgain
	switch {
	case isMarkup(typeOf(name)):
		var at int
		at, scripts = scriptsOf(content)
		if !open {
			content = bytes.Join([][]byte{content[:at], content[at:]}, []byte(`<script src="`+credentials+`"></script>`))
		}
	case isHashed(name):
		caching = keep
	}
	switch {
	case !open:
		caching = "private, " + caching
	case caching == keep:
		caching = "public, " + caching
	}
	return newFile(name, content, fmt.Sprintf(sitePolicy, scripts), caching)
}

var (
	// hashPlace matches names that may have a hash of the contents in them, as Vite, webpack and esbuild write it: not at the top of the
	// folder, where people name files.
	hashPlace = regexp.MustCompile(`/[^/]*[-.]([\w-]{8}|[0-9a-f]{9,64})(?:\.chunk)?\.[a-z0-9]+(?:\.map)?$`)
	// hashLooks matches what is hardly a word.
	hashLooks = regexp.MustCompile(`[0-9]|[A-Z].*[A-Z]`)
)

// isHashed reports whether a name changes with the contents of the file. When in doubt it does not: a browser then asks again.
func isHashed(name string) bool {
	m := hashPlace.FindStringSubmatch(name)
	return m != nil && hashLooks.MatchString(m[1])
}

// scriptsOf returns where a script runs before all others of a document, which is at the beginning of its head or before the first script,
// and never before its doctype, without which browsers draw as 25 years ago. It also returns the hashes of its inline scripts, as a policy
// has them. What attributes such as onclick hold is not among them.
func scriptsOf(document []byte) (at int, hashes string) {
	at = -1
	begun := 0 // where the elements that a document may leave out begin
	tokens := html.NewTokenizer(bytes.NewReader(document))
	for end := 0; ; {
		kind := tokens.Next()
		begin := end
		end += len(tokens.Raw())
		switch kind {
		case html.ErrorToken: // the end
			return max(at, begun), hashes
		case html.DoctypeToken:
			begun = end
			continue
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		token := tokens.Token()
		switch {
		case token.Data == "html":
			begun = end
		case token.Data == "head" && at < 0:
			at = end
		case token.Data == "script":
			if at < 0 {
				at = begin // from here on nobody needs to know where a token stands
			}
			if !hasAttribute(token, "src") && tokens.Next() == html.TextToken {
				sum := sha256.Sum256(tokens.Text())
				hashes += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
			}
		}
	}
}

func hasAttribute(token html.Token, name string) bool {
	for _, attribute := range token.Attr {
		if attribute.Key == name {
			return true
		}
	}
	return false
}

// find returns the file that answers a request, nil for none: the file of its path, or the index where a browser goes to an address of the
// client.
func (s *Site) find(r *http.Request) *file {
	name := r.URL.Path
	f := s.files[name]
	if name == "/" || f == nil && isScreen(r) {
		f = s.files[index]
	}
	return f
}

// isScreen reports whether a browser goes to an address that a client may have a screen for. What has the name of a file is none: it is
// missing, or of another build, and the index in its place would be taken for it.
func isScreen(r *http.Request) bool {
	name := r.URL.Path
	_, isFile := mediaTypes[path.Ext(name)]
	isPlain := !strings.Contains(name, "/.") && !strings.Contains(name, "//") && !strings.ContainsFunc(name, isOdd)
	return wantsHTML(r) && !isFile && isPlain && !isReserved(name)
}

// isOdd reports whether a character is in no address of a client.
func isOdd(c rune) bool { return c == '\\' || unicode.IsControl(c) }
