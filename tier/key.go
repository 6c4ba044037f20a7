package tier

import (
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/strata-cache/strata/internal/remotekey"
)

// keyFunc returns how keys of type K are written at the remote tier, or an error if that is not known.
func keyFunc[K comparable](custom func(K) string) (func(K) string, error) {
	if custom != nil {
		return custom, nil
	}
	t := reflect.TypeFor[K]()
	switch {
	case t.Kind() == reflect.Interface:
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return nil, errTextKey
	case t.Kind() == reflect.String:
		return func(k K) string { return reflect.ValueOf(k).String() }, nil
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return func(k K) string { return strconv.FormatInt(reflect.ValueOf(k).Int(), 10) }, nil
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uintptr:
		return func(k K) string { return strconv.FormatUint(reflect.ValueOf(k).Uint(), 10) }, nil
	case t.Kind() == reflect.Bool:
		return func(k K) string { return strconv.FormatBool(reflect.ValueOf(k).Bool()) }, nil
	case t.Kind() == reflect.Array && t.Elem().Kind() == reflect.Uint8:
		return func(k K) string {
			v := reflect.ValueOf(k)
			b := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(b), v)
			return base64.RawURLEncoding.EncodeToString(b)
		}, nil
	}
	return nil, fmt.Errorf("a key of type %v has no form of its own: set Options.Key", t)
}

// errTextKey is keyFunc's sign that a key writes itself, which can fail for each key.
var errTextKey = errors.New("a TextMarshaler")

// textKey writes a key that is an encoding.TextMarshaler.
func textKey[K comparable](k K) (string, error) {
	b, err := any(k).(encoding.TextMarshaler).MarshalText()
	return string(b), err
}

// remoteKey returns the key of k at the remote tier: name/version/{k}.
func (c *Cache[K, V]) remoteKey(k K) (string, error) {
	var s string
	if c.keyString == nil {
		var err error
		if s, err = textKey(k); err != nil {
			return "", fmt.Errorf("key %v: %w", k, err)
		}
	} else {
		s = c.keyString(k)
	}
	return remotekey.Join(c.keyPrefix, s), nil
}
