package config

import (
	"fmt"
	"regexp"
	"strings"
)

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand puts variables into a value: ${NAME}, or ${NAME:-default} where NAME may be unset or empty; $${ is a plain ${. What
// stands in the user and password of a URL is percent-encoded, so that a password is always that and nothing else.
func (s *scalar) expand(env map[string]string, p *problems) {
	if s.unusable || s.at.variable != "" || !strings.Contains(s.written, "${") {
		return
	}
	user := userinfo(s.written)
	var out strings.Builder
	rest, pos := s.written, 0
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1] + "${")
			rest, pos = rest[i+2:], pos+i+2
			continue
		}
		out.WriteString(rest[:i])
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			p.add(s.at, "a ${ without its }; write $${ for a plain one")
			s.unusable = true
			return
		}
		name, fallback, hasFallback := strings.Cut(rest[i+2:i+end], ":-")
		at := pos + i
		rest, pos = rest[i+end+1:], pos+i+end+1
		if !variableForm.MatchString(name) {
			p.add(s.at, "${%s} names no variable: a letter, then letters, digits and '_'; write $${ for a plain ${", shorten(name))
			s.unusable = true
			continue
		}
		value, ok := env[name]
		if hasFallback && value == "" {
			value, ok = fallback, true
		}
		if !ok {
			p.add(s.at, "the variable %s is not set; ${%s:-…} gives it a default", name, name)
			s.unusable = true
			continue
		}
		s.secrets = append(s.secrets, value)
		if user[0] <= at && at < user[1] {
			value = percentEncode(value)
			s.secrets = append(s.secrets, value)
		}
		out.WriteString(value)
	}
	s.text = out.String()
}

// shorten is quote without quotes.
func shorten(s string) string {
	q := quote(s)
	return strings.ReplaceAll(q[1:], `"`, "")
}

// userinfo returns from where to where a URL with variables in it has its user and password.
func userinfo(written string) [2]int {
	_, rest, ok := strings.Cut(written, "://")
	if !ok {
		return [2]int{}
	}
	begin, depth, last := len(written)-len(rest), 0, -1
scan:
	for i := 0; i < len(rest); i++ {
		switch {
		case strings.HasPrefix(rest[i:], "${"):
			depth = 1
		case rest[i] == '}':
			depth = 0
		case depth > 0:
		case rest[i] == '@':
			last = i
		case rest[i] == '/' || rest[i] == '?' || rest[i] == '#':
			break scan
		}
	}
	if last < 0 {
		return [2]int{}
	}
	return [2]int{begin, begin + last}
}

// percentEncode leaves nothing that could mean anything in a URL.
func percentEncode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
