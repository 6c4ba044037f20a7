package node

import (
	"context"
	"errors"
)

func newPlain(context.Context, *Config, *Source) (cache, error) {
	return nil, errors.New("node: no plain pair yet")
}
