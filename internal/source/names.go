package source

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"layercake/internal/fault"
)

// What a project holds at most, and its texts. The statement that lists sources has maxSources, too.
const (
	maxSources     = 1000
	maxFiles       = 100 // of one upload
	maxName        = 200 // characters
	maxDescription = 1000
	maxFilename    = 255 // bytes
)

// CleanFilename returns the name of an uploaded file as it is kept: without folders, whichever slash they are written with, and without
// blanks around it. Fault: BadRequest for a name that has no characters or more than 255 bytes, and for characters that cannot be seen,
// such as line feeds. Quotes may stand in it.
func CleanFilename(name string) (string, error) {
	const field = "Filename"
	if !utf8.ValidString(name) {
		return "", fault.New(fault.BadRequest, field+" is no UTF-8")
	}
	if err := fault.CheckName(field, name); err != nil {
		return "", err
	}
	name = strings.TrimSpace(name[strings.LastIndexAny(name, `/\`)+1:])
	switch n := len(name); {
	case n == 0, name == ".", name == "..":
		return "", fault.New(fault.BadRequest, field+" is empty").With("detail", "A file has a name such as nodes.csv")
	case n > maxFilename:
		return "", fault.New(fault.BadRequest, field+" is too long").With("detail", map[string]any{"limit": maxFilename, "length": n})
	}
	return name, nil
}

// cleanName returns the name of a source without blanks around it.
func cleanName(name string) (string, error) {
	const field = "Data source name"
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", fault.New(fault.BadRequest, field+" is empty").With("detail", fmt.Sprintf("It has 1 to %d characters", maxName))
	case !utf8.ValidString(name):
		return "", fault.New(fault.BadRequest, field+" is no UTF-8")
	}
	if err := fault.CheckText(field, name, maxName); err != nil {
		return "", err
	}
	return name, fault.CheckName(field, name)
}

// cleanDescription returns a description without blanks around it, nil when nothing is left.
func cleanDescription(text *string) (*string, error) {
	const field = "Data source description"
	if text == nil {
		return nil, nil //nolint:nilnil // none is a description, too
	}
	trimmed := strings.TrimSpace(*text)
	if trimmed == "" {
		return nil, nil //nolint:nilnil // none is a description, too
	}
	if !utf8.ValidString(trimmed) {
		return nil, fault.New(fault.BadRequest, field+" is no UTF-8")
	}
	if err := fault.CheckText(field, trimmed, maxDescription); err != nil {
		return nil, err
	}
	return &trimmed, fault.CheckLabel(field, trimmed)
}
