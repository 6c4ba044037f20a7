package redisconn

import (
	"errors"
	"fmt"

	"github.com/strata-cache/strata/internal/sentinel"
)

// denials are the servers' answers to a user whom they do not let in, or not do what was asked.
var denials = []struct {
	prefix, meaning string
	in              bool // the user is in
}{
	{prefix: "NOAUTH", meaning: "the server wants a password, and none was given"},
	{prefix: "WRONGPASS", meaning: "the server refused the user or password"},
	{prefix: "invalid password", meaning: "the server refused the password"},
	{prefix: "AUTH <password> called without any password", meaning: "a password was given, and the server has none"},
	{prefix: "Client sent AUTH, but no password is set", meaning: "a password was given, and the server has none"},
	{prefix: "DB index is out of range", meaning: "the server has no such database"},
	{prefix: "NOPERM", meaning: "the server does not let the user do that", in: true},
	{prefix: "ACL failure in script", meaning: "the server does not let the user do that", in: true},
	{prefix: "The user executing the script can't", meaning: "the server does not let the user do that", in: true},
}

// Denied reports whether err is, or wraps, a server's answer to a user whom it does not let in, or not do what was asked. Then
// nothing was done.
func Denied(err error) bool {
	for _, d := range denials {
		if HasPrefix(err, d.prefix) {
			return true
		}
	}
	return false
}

// Explain says of such an answer, which is the server's named, who was denied what. It then is sentinel.ErrDenied; who is not
// let in at all finds the server as unavailable as one that is down. Other errors pass untouched.
func (c *Conn) Explain(server string, err error) error {
	if errors.As(err, new(*deniedError)) {
		return err
	}
	for _, d := range denials {
		if !HasPrefix(err, d.prefix) {
			continue
		}
		text := fmt.Sprintf("%s: %s: %s: %v", server, c.user(), d.meaning, err)
		return &deniedError{text: text, in: d.in, cause: err}
	}
	return err
}

type deniedError struct {
	text  string
	in    bool
	cause error
}

func (e *deniedError) Error() string { return e.text }

func (e *deniedError) Unwrap() []error {
	if e.in {
		return []error{sentinel.ErrDenied, e.cause}
	}
	return []error{sentinel.ErrDenied, sentinel.ErrUnavailable, e.cause}
}

// user names who connections authenticate as.
func (c *Conn) user() string {
	switch {
	case c.target.opts.Credentials != nil:
		return "the user of Options.Credentials"
	case c.target.opts.Username != "":
		return fmt.Sprintf("user %q", c.target.opts.Username)
	default:
		return `user "default"`
	}
}
