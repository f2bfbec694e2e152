package handlebars

import (
	"fmt"
	"strconv"

	"github.com/mailgun/raymond/v2/ast"
	"github.com/mailgun/raymond/v2/lexer"
	"github.com/mailgun/raymond/v2/parser"
)

const (
	maxSource  = 256 << 10 // bytes of a template with its partials; the lexer is slow
	maxNesting = 100       // of blocks or subexpressions
	maxPath    = 100       // parts of a path: the parser takes time in their square
)

// parse reads one template. The tokens are checked first: the parser abandons its lexer, and the goroutine of that, on an
// error, and recurses as deep as the template does.
func parse(source string) (program *ast.Program, err error) {
	s := syntax{tokens: lexer.Collect(source)}
	if err := s.check(); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			program, err = nil, fmt.Errorf("template is not valid: %v", p)
		}
	}()
	return parser.Parse(source)
}

// syntax checks tokens against the grammar of Handlebars.
type syntax struct {
	tokens  []lexer.Token // the last one is EOF or an error
	nesting int
}

func (s *syntax) check() error {
	if err := s.program(); err != nil {
		return err
	}
	if s.next() != lexer.TokenEOF {
		return s.unexpected("no more")
	}
	return nil
}

func (s *syntax) next() lexer.TokenKind { return s.tokens[0].Kind }

func (s *syntax) unexpected(want string) error {
	t := s.tokens[0]
	switch t.Kind {
	case lexer.TokenError:
		return fmt.Errorf("template line %d: %s", t.Line, t.Val)
	case lexer.TokenEOF:
		return fmt.Errorf("template line %d: the end where %s is expected", t.Line, want)
	}
	return fmt.Errorf("template line %d: %.40q where %s is expected", t.Line, t.Val, want)
}

func (s *syntax) take(kind lexer.TokenKind, want string) (string, error) {
	if s.next() != kind {
		return "", s.unexpected(want)
	}
	value := s.tokens[0].Val
	s.tokens = s.tokens[1:]
	return value, nil
}

func (s *syntax) has(kind lexer.TokenKind) bool {
	if s.next() != kind {
		return false
	}
	s.tokens = s.tokens[1:]
	return true
}

func (s *syntax) enter() error {
	if s.nesting++; s.nesting > maxNesting {
		return fmt.Errorf("template line %d: blocks or expressions are nested more than %d deep", s.tokens[0].Line, maxNesting)
	}
	return nil
}

func (s *syntax) program() error {
	for {
		var err error
		switch s.next() {
		case lexer.TokenContent, lexer.TokenComment:
			s.tokens = s.tokens[1:]
		case lexer.TokenOpen:
			s.tokens = s.tokens[1:]
			err = s.tag(lexer.TokenClose, "}}")
		case lexer.TokenOpenUnescaped:
			s.tokens = s.tokens[1:]
			err = s.tag(lexer.TokenCloseUnescaped, "}}}")
		case lexer.TokenOpenPartial:
			s.tokens = s.tokens[1:]
			err = s.partial()
		case lexer.TokenOpenBlock, lexer.TokenOpenInverse:
			s.tokens = s.tokens[1:]
			err = s.block()
		case lexer.TokenOpenRawBlock:
			return fmt.Errorf("template line %d: raw blocks ({{{{) are not supported", s.tokens[0].Line)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tag is what stands between the braces.
func (s *syntax) tag(closing lexer.TokenKind, want string) error {
	if _, err := s.expression(); err != nil {
		return err
	}
	_, err := s.take(closing, want)
	return err
}

func (s *syntax) partial() error {
	var err error
	if s.next() == lexer.TokenOpenSexpr {
		err = s.param()
	} else {
		_, err = s.name()
	}
	if err != nil {
		return err
	}
	if err := s.params(); err != nil {
		return err
	}
	_, err = s.take(lexer.TokenClose, "}}")
	return err
}

func (s *syntax) block() error {
	if err := s.enter(); err != nil {
		return err
	}
	name, err := s.openBlock()
	if err != nil {
		return err
	}
	depth := s.nesting
	for {
		if err := s.program(); err != nil {
			return err
		}
		if s.has(lexer.TokenInverse) {
			if err := s.program(); err != nil {
				return err
			}
			break
		}
		if !s.has(lexer.TokenOpenInverseChain) {
			break
		}
		if err := s.enter(); err != nil {
			return err
		}
		if _, err := s.openBlock(); err != nil {
			return err
		}
	}
	s.nesting = depth - 1
	line := s.tokens[0].Line
	if _, err := s.take(lexer.TokenOpenEndBlock, "{{/"+name+"}}"); err != nil {
		return err
	}
	closing, err := s.name()
	if err != nil {
		return err
	}
	if closing != name {
		return fmt.Errorf("template line %d: {{/%s}} where {{/%s}} is expected", line, closing, name)
	}
	_, err = s.take(lexer.TokenClose, "}}")
	return err
}

// openBlock reads up to the closing braces and returns the name of the block.
func (s *syntax) openBlock() (string, error) {
	name, err := s.expression()
	if err != nil {
		return "", err
	}
	if s.has(lexer.TokenOpenBlockParams) {
		if _, err := s.take(lexer.TokenID, "a name"); err != nil {
			return "", err
		}
		for s.has(lexer.TokenID) {
		}
		if _, err := s.take(lexer.TokenCloseBlockParams, "|"); err != nil {
			return "", err
		}
	}
	_, err = s.take(lexer.TokenClose, "}}")
	return name, err
}

func (s *syntax) expression() (string, error) {
	name, err := s.name()
	if err != nil {
		return "", err
	}
	return name, s.params()
}

func (s *syntax) params() error {
	for {
		if s.next() == lexer.TokenID && s.tokens[1].Kind == lexer.TokenEquals {
			break
		}
		switch s.next() {
		case lexer.TokenBoolean, lexer.TokenNumber, lexer.TokenString, lexer.TokenData, lexer.TokenID, lexer.TokenOpenSexpr:
			if err := s.param(); err != nil {
				return err
			}
			continue
		}
		return nil
	}
	for s.next() == lexer.TokenID && s.tokens[1].Kind == lexer.TokenEquals {
		s.tokens = s.tokens[2:]
		if err := s.param(); err != nil {
			return err
		}
	}
	return nil
}

func (s *syntax) param() error {
	if !s.has(lexer.TokenOpenSexpr) {
		_, err := s.name()
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	if _, err := s.expression(); err != nil {
		return err
	}
	s.nesting--
	_, err := s.take(lexer.TokenCloseSexpr, ")")
	return err
}

// name reads a literal or a path and returns it as written.
func (s *syntax) name() (string, error) {
	switch s.next() {
	case lexer.TokenNumber:
		text := s.tokens[0].Val
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return "", s.unexpected("a number")
		}
		s.tokens = s.tokens[1:]
		return text, nil
	case lexer.TokenBoolean, lexer.TokenString:
		text := s.tokens[0].Val
		s.tokens = s.tokens[1:]
		return text, nil
	}
	path := ""
	if s.has(lexer.TokenData) {
		path = "@"
	}
	named := false
	for parts := 0; parts == 0 || s.next() == lexer.TokenSep; parts++ {
		if parts == maxPath {
			return "", fmt.Errorf("template line %d: the path %.40q has more than %d parts", s.tokens[0].Line, path, maxPath)
		}
		if parts > 0 {
			path += s.tokens[0].Val
			s.tokens = s.tokens[1:]
		}
		part, err := s.take(lexer.TokenID, "a name")
		if err != nil {
			return "", err
		}
		switch part {
		case ".", "..", "this":
			if named {
				return "", fmt.Errorf("template line %d: %q cannot follow a name in %q", s.tokens[0].Line, part, path)
			}
		default:
			named = true
		}
		path += part
	}
	return path, nil
}
