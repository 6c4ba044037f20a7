package redisconn

import (
	"context"
	"errors"
)

// askForCredentials calls the user's function for a new connection.
func (t *target) askForCredentials(ctx context.Context) (username, password string, err error) {
	username, password, err = t.opts.Credentials(ctx)
	if err == nil && password == "" {
		err = errors.New("returned no password")
	}
	if err != nil {
		return "", "", &credentialsError{cause: err}
	}
	return username, password, nil
}

// credentialsError says that there was nothing to authenticate with.
type credentialsError struct{ cause error }

func (e *credentialsError) Error() string { return "Options.Credentials: " + e.cause.Error() }

// Unwrap hides a context's error: it is the connection attempt's, and a caller must not take it for its own.
func (e *credentialsError) Unwrap() error {
	if isContext(e.cause) {
		return nil
	}
	return e.cause
}

// refusedCredentials reports whether a server refused what a new connection authenticated with, so that nothing was sent.
func refusedCredentials(err error) bool {
	return HasPrefix(err, "WRONGPASS") || HasPrefix(err, "NOAUTH") || HasPrefix(err, "invalid password")
}
